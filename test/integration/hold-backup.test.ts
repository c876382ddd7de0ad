import { spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { bareEnvironment } from '../network/bare-environment.ts'
import { s3Bucket, s3Credentials } from '../network/infrastructure.ts'
import { OciClient } from '../network/oci-client.ts'
import { blobOf, imageOfLayers, randomLayer, type SampleImage } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'

/**
 * Goal: what docs/operating/hold.md says about backup and restore is so. Method: the commands it names, against a hold in a
 * whole network that is destroyed in between.
 */
let folder: string
let network: TestNetwork
const repository = 'alice.test/app'
const dataFolder = () => join(folder, 'network/hold')
const backupFolder = () => join(folder, 'backup')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-backup-'))
})
afterEach(async () => {
  await network?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const alice = () => {
  const { handle, appPassword } = network.accounts.alice
  return new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
}

/** What `atcr-hold backup` is given as `--config`. */
async function writeSettings(): Promise<string> {
  const { accessKey, secretKey, region } = s3Credentials
  const bucket = { driver: 's3', endpoint: network.s3?.url, region, bucket: s3Bucket, access_key: accessKey, secret_key: secretKey } // prettier-ignore
  const file = join(folder, 'atcr-hold.yaml')
  const settings = {
    log_level: 'warn',
    server: { public_url: network.hold.url, test_mode: true },
    storage: network.s3 === undefined ? { path: join(dataFolder(), 'blobs') } : bucket,
    database: { path: join(dataFolder(), 'hold.db'), did: network.hold.did },
  }
  await writeFile(file, JSON.stringify(settings))
  return file
}

/** The program as it is called from a shell. */
async function backUp(...options: string[]) {
  const main = join(import.meta.dirname, '../../src/hold/main.ts')
  const parameters = [main, 'backup', backupFolder(), ...options, '--config', await writeSettings()]
  const { status, stdout, stderr } = spawnSync(process.execPath, parameters, {
    env: bareEnvironment(),
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

/** As the manual says: stop, empty data folder, copy, start. */
async function destroyAndRestore(): Promise<void> {
  await network.stopHold()
  await rm(dataFolder(), { recursive: true })
  await mkdir(dataFolder())
  await cp(backupFolder(), dataFolder(), { recursive: true })
  await network.restartHold()
}

async function pullAll(image: SampleImage, tag: string): Promise<void> {
  const anyone = new OciClient({ registryUrl: network.appview.url })
  expect((await anyone.pullManifest(repository, tag)).digest).toBe(image.digest)
  for (const { digest } of image.blobs) {
    const response = await anyone.pullBlob(repository, digest)
    expect(blobOf(new Uint8Array(await response.arrayBuffer())).digest).toBe(digest)
  }
}

const layerCount = () => network.hold.context.repo.countRecords('io.atcr.hold.layer')

describe('a hold on a disk', () => {
  test('comes back from a backup that was taken while it served', async () => {
    network = await TestNetwork.create({ dataDir: join(folder, 'network') })
    const first = imageOfLayers([blobOf('one'), await randomLayer(9_000_000)])
    await alice().pushImage(repository, first, 'first')
    await network.settled()
    expect(await backUp('--blobs')).toMatchObject({ status: 0, stderr: '' })
    const second = imageOfLayers([blobOf('two')])
    await alice().pushImage(repository, second, 'second')
    await network.settled()
    // The second backup in the same folder copies what is new.
    expect((await backUp('--blobs')).stdout).toContain(`2 blobs copied`)
    const before = network.hold.context
    const [seq, key] = [before.repo.sequencer.newestSeq, before.identity.signingKey.did()]

    await destroyAndRestore()
    const { context, did } = network.hold
    expect([did, context.identity.signingKey.did()]).toEqual([before.identity.did, key])
    expect(context.repo.sequencer.newestSeq).toBeGreaterThan(seq)
    // The AppView goes on with what it knew, and its event stream with where it was.
    await network.restartAppView()
    await network.settled()
    expect(network.jetstream.refused).toEqual([])
    await pullAll(first, 'first')
    await pullAll(second, 'second')
    const third = imageOfLayers([blobOf('three')])
    await alice().pushImage(repository, third, 'third')
    await network.settled()
    await pullAll(third, 'third')
    expect(await layerCount()).toBe(first.blobs.length + second.blobs.length + third.blobs.length)
  })
})

describe('a hold on S3', () => {
  test('goes on from an older database, ahead of all that anyone has seen', async () => {
    network = await TestNetwork.create({ dataDir: join(folder, 'network'), storage: 's3' })
    const first = imageOfLayers([blobOf('one')])
    await alice().pushImage(repository, first, 'first')
    await network.settled()
    expect(await backUp()).toMatchObject({ status: 0, stderr: '' })
    const lost = imageOfLayers([blobOf('after the backup')])
    await alice().pushImage(repository, lost, 'lost')
    await network.settled()
    const newest = network.hold.context.repo.getLatestCommit()
    const seq = network.hold.context.repo.sequencer.newestSeq

    await destroyAndRestore()
    const { repo } = network.hold.context
    expect(repo.getLatestCommit().rev > newest.rev).toBe(true)
    expect(repo.sequencer.newestSeq).toBeGreaterThan(seq)
    await expect(stat(join(dataFolder(), 'backup.json'))).rejects.toThrow('ENOENT')
    await network.settled()
    expect(network.jetstream.refused).toEqual([])
    await pullAll(first, 'first')
    // Its bytes are in the bucket, whatever the database knows; pushing it again makes the records again.
    await pullAll(lost, 'lost')
    expect(await layerCount()).toBe(first.blobs.length)
    await alice().pushImage(repository, lost, 'lost')
    await network.settled()
    expect(await layerCount()).toBe(first.blobs.length + lost.blobs.length)

    const resumed = repo.sequencer.newestSeq
    await network.restartHold()
    expect(network.hold.context.repo.sequencer.newestSeq, 'only once').toBeLessThan(resumed + 1000)
  })
})

test('the backup is a moment of one hold, with keys that only its owner reads', async () => {
  network = await TestNetwork.create({ dataDir: join(folder, 'network') })
  expect((await backUp()).status).toBe(0)
  expect((await stat(join(backupFolder(), 'signing.key'))).mode & 0o777).toBe(0o600)
  const mark = JSON.parse(await readFile(join(backupFolder(), 'backup.json'), 'utf8')) as { did: string }
  expect(mark.did).toBe(network.hold.did)
  const markFile = join(backupFolder(), 'backup.json')
  await writeFile(markFile, JSON.stringify({ ...mark, did: 'did:web:other.example' }))
  const { status, stderr } = await backUp()
  expect([status, stderr]).toEqual([1, expect.stringContaining('a backup of another hold')])
})
