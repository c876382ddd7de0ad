import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startCeph, type Ceph } from '../network/ceph.ts'
import { TestNetwork } from '../network/test-network.ts'
import { mustRun } from './command.ts'
import { OciLayout, verifiedBlobs } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: pushes and pulls go through an S3 server that we did not write. Method: skopeo against the whole network with
 * Ceph behind the hold, layers of many parts, in both upload modes; pulls follow the redirect to Ceph.
 */
let ceph: Ceph
let s3: S3Client
let folder: string

beforeAll(async () => {
  ceph = await startCeph()
  s3 = new S3Client({ endpoint: ceph.endpoint, region: ceph.region, credentials: ceph, forcePathStyle: true })
  folder = await makeTemporaryFolder('atcr-ceph-e2e')
})
afterAll(async () => {
  s3?.destroy()
  await ceph?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

describe.each(['direct', 'relay'] as const)('Ceph, uploads go %s', (uploadMode) => {
  let network: TestNetwork
  const bucket = `layers-${uploadMode}`

  beforeAll(async () => {
    await s3.send(new CreateBucketCommand({ Bucket: bucket }))
    network = await TestNetwork.create({
      uploadMode,
      hold: {
        storage: {
          driver: 's3',
          endpoint: ceph.endpoint,
          region: ceph.region,
          bucket,
          access_key: ceph.accessKeyId,
          secret_key: ceph.secretAccessKey,
        },
      },
    })
  })
  afterAll(() => network?.[Symbol.asyncDispose]())

  test('an image of many parts is pushed and pulled byte for byte', async () => {
    const { handle, appPassword } = network.accounts.alice
    const source = await OciLayout.create(join(folder, `source-${uploadMode}`))
    await source.addImage('v1', [40 * 2 ** 20, 9 * 2 ** 20, 5000])
    const remote = `docker://${new URL(network.appview.url).host}/${handle}/on-ceph:v1`
    const options = ['--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false']
    await mustRun('skopeo', ['copy', ...options, '--dest-creds', `${handle}:${appPassword}`, `oci:${source.path}:v1`, remote]) // prettier-ignore
    const target = join(folder, `target-${uploadMode}`)
    await mustRun('skopeo', ['copy', ...options, '--src-no-creds', remote, `oci:${target}:v1`])
    expect(await verifiedBlobs(target)).toEqual(await verifiedBlobs(source.path))
  })

  test('what was pushed stands under its digest, and no upload is left', async () => {
    await network.settled()
    const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket }))
    const keys = Contents.map(({ Key }) => Key ?? '')
    const digests = (await verifiedBlobs(join(folder, `source-${uploadMode}`))).filter((hex) =>
      keys.includes(`docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`),
    )
    // Three layers and the config; the manifest is its owner's.
    expect(digests).toHaveLength(4)
    const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    expect(Uploads).toEqual([])
  })
})
