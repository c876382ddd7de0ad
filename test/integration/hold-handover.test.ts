import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { LexMap } from '@atproto/lex'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { holdConfig } from '../../src/hold/config.ts'
import { startHold } from '../../src/hold/start.ts'
import { bareEnvironment } from '../network/bare-environment.ts'
import { OciClient } from '../network/oci-client.ts'
import { blobOf, imageOfLayers, randomLayer } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { freePort } from './test-hold.ts'

let folder: string
let network: TestNetwork
let port: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-handover-'))
  network = await TestNetwork.create({ dataDir: join(folder, 'network') })
  port = await freePort()
})
afterEach(async () => {
  await network[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Some seconds each, on a machine that has other things to do. */
const startsPrograms = { timeout: 180_000 }

const repository = 'alice.test/app'
const clientOf = (name: 'alice' | 'bob') => {
  const { handle, appPassword } = network.accounts[name]
  return new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
}

const oldSettings = () => ({
  log_level: 'warn' as const,
  server: { public_url: network.hold.url, test_mode: true },
  storage: { path: join(folder, 'network/hold/blobs') },
  database: { path: join(folder, 'network/hold/hold.db'), did: network.hold.did },
})

/** As a captain writes them: nothing in them says that the new hold is open. */
const nextSettings = (ownerDid: string) => ({
  log_level: 'warn' as const,
  server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, test_mode: true },
  registration: { owner_did: ownerDid },
  database: { path: join(folder, 'next/hold.db'), plc_directory_url: network.plc.url },
})

async function prepare(ownerDid: string) {
  await writeFile(join(folder, 'old.yaml'), JSON.stringify(oldSettings()))
  await writeFile(join(folder, 'next.yaml'), JSON.stringify(nextSettings(ownerDid)))
  const main = join(import.meta.dirname, '../../src/hold/main.ts')
  const places = ['--config', join(folder, 'old.yaml'), '--to', join(folder, 'next.yaml')]
  return (...options: string[]) => {
    const parameters = [main, 'migrate', ...places, ...options]
    const { status, stdout, stderr } = spawnSync(process.execPath, parameters, {
      env: bareEnvironment(),
      encoding: 'utf8',
    })
    return { status, stdout, stderr }
  }
}

/** A layer record as it was before it had the address of its manifest. */
function oldest(value: LexMap): LexMap {
  const record: LexMap = { ...value, repository: 'app', userHandle: 'alice.test' }
  delete record['manifest']
  return record
}

/** Goal: a hold is handed over by one command and two restarts, and the old one may be thrown away. */
test('a hold is handed over to another hold', startsPrograms, async () => {
  const image = imageOfLayers([blobOf('one'), await randomLayer(9_000_000)])
  await clientOf('alice').pushImage(repository, image, 'v1')
  await clientOf('bob').pushImage('bob.test/his', imageOfLayers([blobOf('of bob')]), 'v1')
  await network.settled()
  const migrate = await prepare(network.accounts.alice.did)
  const { did } = network.hold
  const layers = await network.hold.context.repo.countRecords('io.atcr.hold.layer')

  expect(migrate('--to-other-hold', '--while-serving')).toMatchObject({ status: 0, stderr: '' })
  await network.stopHold()
  const first = migrate('--to-other-hold')
  expect(first).toMatchObject({ status: 0, stderr: '' })
  // Bob became crew by pushing; alice is the captain of both.
  expect(first.stdout).toContain(
    `1 crew and ${layers} layer records taken over, and its settings; 0 left out.`,
  )
  const again = migrate('--to-other-hold', '--set-successor')
  expect(again.stdout).toContain('0 crew and 0 layer records taken over; 0 left out.')
  expect(again.stdout).toContain(`${did} is succeeded by did:web:localhost%3A${port}`)

  await network.restartHold()
  await network.settled()
  await network.stopHold()
  await rm(join(folder, 'network/hold'), { recursive: true })
  await using next = await startHold(holdConfig(nextSettings(network.accounts.alice.did)))
  network.jetstream.follow('next', `http://localhost:${port}`)
  await network.restartAppView()
  const anyone = new OciClient({ registryUrl: network.appview.url })
  for (const { digest } of image.blobs) {
    const response = await anyone.pullBlob(repository, digest)
    expect(new URL(response.url).port).toBe(String(port))
    expect(blobOf(new Uint8Array(await response.arrayBuffer())).digest).toBe(digest)
  }
  await clientOf('bob').pushImage('bob.test/his', imageOfLayers([blobOf('new')]), 'v2')
  expect(await next.context.repo.countRecords('io.atcr.hold.crew')).toBe(2)
  await network.jetstream.unfollow('next')
})

test('a hold of another captain takes over crew and layers, and neither administrators nor settings', async () => {
  await clientOf('alice').pushImage(repository, imageOfLayers([blobOf('one')]), 'v1')
  await network.settled()
  await network.hold.context.crew.admit('did:plc:deputy', {
    role: 'deputy',
    permissions: ['blob:read', 'crew:admin'],
  })
  const migrate = await prepare(network.accounts.bob.did)
  await network.stopHold()
  expect(migrate('--to-other-hold').stdout).toContain('2 crew and 2 layer records taken over; 0 left out.')
  await using next = await startHold(holdConfig(nextSettings(network.accounts.bob.did)))
  const { crew } = next.context
  expect(await crew.getCaptain()).toMatchObject({ isPublic: false, allowAllCrew: false })
  expect(await crew.find('did:plc:deputy')).toMatchObject({ permissions: ['blob:read'] })
  const alice = await crew.find(network.accounts.alice.did)
  expect(alice).toMatchObject({ role: 'member', permissions: ['blob:read', 'blob:write'] })
})

test(
  'layers of the oldest shape are handed over as well, and garbage collection spares their blobs',
  startsPrograms,
  async () => {
    const { alice } = network.accounts
    const image = imageOfLayers([blobOf('old')])
    await clientOf('alice').pushImage(repository, image, 'v1')
    await network.settled()
    const { repo, layers } = network.hold.context
    const { records } = await repo.listRecords('io.atcr.hold.layer')
    const older = records.map(({ uri, value }) => ({
      collection: 'io.atcr.hold.layer',
      rkey: uri.slice(uri.lastIndexOf('/') + 1),
      value: oldest(value),
    }))
    await repo.importRecords(older)
    await layers.rebuild()
    const migrate = await prepare(alice.did)
    await network.stopHold()
    expect(migrate('--to-other-hold').stdout).toContain(
      '2 layer records taken over, and its settings; 0 left out.',
    )
    expect(migrate('--to-other-hold').stdout).toContain('0 layer records taken over; 0 left out.')
    let offsetMs = 0
    const now = () => new Date(Date.now() + offsetMs)
    await using next = await startHold(holdConfig(nextSettings(alice.did)), { now })
    const { gc, quotas, database } = next.context
    for (let run = 0; run < 4; run++) {
      await gc.start({ isDryRun: false })
      expect(await gc.idle()).toMatchObject({ state: 'done', blobsDeleted: 0 })
      offsetMs += 8 * 24 * 3_600_000
    }
    const blobs = await database.selectFrom('blobs').select('digest').orderBy('digest').execute()
    expect(blobs.map(({ digest }) => digest)).toEqual(image.blobs.map(({ digest }) => digest).toSorted())
    const totalSizeBytes = image.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    expect(await quotas.find(alice.did)).toMatchObject({ uniqueBlobs: 2, totalSizeBytes })
  },
)

test('what makes no sense is refused before anything is done', async () => {
  const migrate = await prepare(network.accounts.alice.did)
  expect(migrate('--set-successor').stderr).toContain('add --to-other-hold')
  await writeFile(
    join(folder, 'next.yaml'),
    JSON.stringify({ ...oldSettings(), storage: { path: join(folder, 'x') } }),
  )
  expect(migrate('--to-other-hold').stderr).toContain('names the database of this hold')
})
