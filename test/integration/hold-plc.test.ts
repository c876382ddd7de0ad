import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { verifyRepoCar } from '@atproto/repo'
import { createUpdateOp, type Operation } from '@did-plc/lib'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { holdConfig, holdPaths } from '../../src/hold/config.ts'
import { createContext, type HoldContext } from '../../src/hold/context.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { Gates } from '../network/faults.ts'
import { OciClient } from '../network/oci-client.ts'
import { PlcDirectory } from '../network/plc.ts'
import { digestOfBytes, imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'

/** Goal: a did:plc hold is always found and verified by what the directory says. Method: a directory that checks operations. */

let folder: string
let plc: PlcDirectory
const gates = new Gates()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-plc-'))
  plc = await PlcDirectory.start({ file: join(folder, 'plc.json') })
  gates.install(plc.server, 'plc')
})
afterEach(async () => {
  await plc[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

function open(publicUrl = 'https://hold.example'): Promise<HoldContext & AsyncDisposable> {
  const config = holdConfig({
    server: { public_url: publicUrl, test_mode: true },
    registration: { owner_did: 'did:plc:captain' },
    database: { path: join(folder, 'hold.db'), did_method: 'plc', plc_directory_url: plc.url },
  })
  return createContext(config, holdPaths(config, false))
}

const kept = async (name: string) => (await readFile(join(folder, name), 'utf8')).trim()
const keyIn = async (name: string) => Secp256k1Keypair.import(await kept(name), { exportable: true })
const logOf = async (did: string) => (await (await fetch(`${plc.url}/${did}/log`)).json()) as Operation[]

async function send(did: string, operation: Operation): Promise<void> {
  const response = await fetch(`${plc.url}/${did}`, { method: 'POST', body: JSON.stringify(operation) })
  expect(response.status).toBe(200)
}

/** Kinds of the newest events, by the frames a subscriber gets. */
async function eventKinds({ database }: HoldContext, afterSeq: number): Promise<string[]> {
  const rows = await database.selectFrom('repo_events').select('kind').where('seq', '>', afterSeq).orderBy('seq').execute() // prettier-ignore
  return rows.map(({ kind }) => kind)
}

/** Reads the data repo as others do: with the key that the directory names. */
async function verifies({ repo, identity }: HoldContext): Promise<void> {
  const key = (await logOf(identity.did)).at(-1)?.verificationMethods['atproto'] as string
  const car = await collectBytes(repo.exportCar(), 10_000_000)
  const { creates } = await verifyRepoCar(car, identity.did, key)
  expect(creates.length).toBeGreaterThan(0)
}

test('a new hold registers itself: keys, services and handle, and the data repo verifies with them', async () => {
  await using hold = await open()
  const { did } = hold.identity
  expect(plc.list()).toEqual([did])
  expect(await kept('did.txt')).toBe(did)
  expect((await stat(join(folder, 'rotation.key'))).mode & 0o777).toBe(0o600)
  const [genesis] = await logOf(did)
  expect(genesis).toMatchObject({
    prev: null,
    rotationKeys: [(await keyIn('rotation.key')).did()],
    verificationMethods: { atproto: (await keyIn('signing.key')).did() },
    alsoKnownAs: ['at://hold.example'],
    services: {
      atproto_pds: { type: 'AtprotoPersonalDataServer', endpoint: 'https://hold.example' },
      atcr_hold: { type: 'AtcrHoldService', endpoint: 'https://hold.example' },
    },
  })
  expect((await keyIn('rotation.key')).did()).not.toBe((await keyIn('signing.key')).did())
  await verifies(hold)
})

test('what a crash or a lost answer interrupted becomes the same DID', async () => {
  {
    using _lost = gates.faults.add({ to: 'plc', method: 'POST', kind: 'lose-answer' })
    await expect(open()).rejects.toThrow('the same identity is tried again')
  }
  await expect(stat(join(folder, 'did.txt'))).rejects.toThrow('ENOENT')
  const [did] = plc.list()
  {
    await using hold = await open()
    expect(hold.identity.did).toBe(did)
  }
  await rm(join(folder, 'did.txt'))
  await using hold = await open()
  expect(hold.identity.did).toBe(did)
  expect(await logOf(hold.identity.did)).toHaveLength(1)
})

test('a moved hold corrects its document, keeps what others put there, and says so on the firehose', async () => {
  let seq: number
  {
    await using hold = await open()
    seq = hold.repo.sequencer.newestSeq
    const update = await createUpdateOp((await logOf(hold.identity.did))[0] as Operation, await keyIn('rotation.key'), (it) => ({
      ...it,
      alsoKnownAs: [...it.alsoKnownAs, 'https://blog.example'],
      services: { ...it.services, other: { type: 'Other', endpoint: 'https://other.example' } },
    })) // prettier-ignore
    await send(hold.identity.did, update)
  }
  {
    await using same = await open()
    expect(await logOf(same.identity.did)).toHaveLength(2)
    expect(await eventKinds(same, seq)).toEqual([])
  }
  await using moved = await open('https://new.example')
  const operations = await logOf(moved.identity.did)
  expect(operations).toHaveLength(3)
  expect(operations[2]).toMatchObject({
    alsoKnownAs: ['at://new.example', 'https://blog.example'],
    services: {
      atproto_pds: { endpoint: 'https://new.example' },
      atcr_hold: { endpoint: 'https://new.example' },
      other: { endpoint: 'https://other.example' },
    },
  })
  expect(await eventKinds(moved, seq)).toEqual(['identity', 'sync'])
})

test('another signing key goes to the directory before anything is signed with it', async () => {
  {
    await using _hold = await open()
  }
  const next = await Secp256k1Keypair.create({ exportable: true })
  await writeFile(join(folder, 'signing.key'), Buffer.from(await next.export()).toString('hex'))
  await using hold = await open()
  expect((await logOf(hold.identity.did)).at(-1)?.verificationMethods).toEqual({ atproto: next.did() })
  await verifies(hold)
})

test('without the rotation key the document stays as it is, and the hold works', async () => {
  {
    await using _hold = await open()
  }
  const stranger = await Secp256k1Keypair.create({ exportable: true })
  await writeFile(join(folder, 'rotation.key'), Buffer.from(await stranger.export()).toString('hex'))
  for (const change of [() => undefined, () => rm(join(folder, 'rotation.key'))]) {
    await change()
    await using hold = await open('https://new.example')
    expect(await logOf(hold.identity.did)).toHaveLength(1)
    expect(await hold.crew.getCaptain()).toMatchObject({ ownerDid: 'did:plc:captain' })
  }
  // None is made for a DID that has one elsewhere.
  await expect(stat(join(folder, 'rotation.key'))).rejects.toThrow('ENOENT')
})

test('a directory that is away does not keep a hold from starting, and is asked again', async () => {
  {
    await using _hold = await open()
  }
  const down = gates.faults.add({ to: 'plc', kind: 'error' })
  await using hold = await open('https://new.example')
  const seq = hold.repo.sequencer.newestSeq
  hold.jobs.document.kick()
  await hold.jobs.document.idle()
  expect(await eventKinds(hold, seq)).toEqual([])
  down[Symbol.dispose]()
  hold.jobs.document.kick()
  await hold.jobs.document.idle()
  expect((await logOf(hold.identity.did)).at(-1)?.alsoKnownAs).toEqual(['at://new.example'])
  expect(await eventKinds(hold, seq)).toEqual(['identity', 'sync'])
})

test('a registry on a did:plc hold: push, pull, restart, and the index knows', async () => {
  await using network = await TestNetwork.create({
    hold: { database: { did: undefined, did_method: 'plc' } },
  })
  const { did } = network.hold
  expect(did).toMatch(/^did:plc:/)
  const { handle, appPassword } = network.accounts.alice
  const alice = new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
  const image = imageOfFiles({ 'plc.txt': 'found by the directory' })
  await alice.pushImage('alice.test/plc', image, 'v1')
  await network.settled()
  await network.restartHold()
  expect(network.hold.did).toBe(did)
  await alice.pushImage('alice.test/plc', imageOfFiles({ 'more.txt': 'after the restart' }), 'v2')
  await network.settled()
  expect(network.jetstream.refused).toEqual([])
  const reader = new OciClient({ registryUrl: network.appview.url })
  const manifest = await reader.pullManifest('alice.test/plc', 'v1')
  expect(JSON.parse(Buffer.from(manifest.bytes).toString())).toHaveProperty('layers')
  for (const blob of image.blobs) {
    const response = await reader.pullBlob('alice.test/plc', blob.digest)
    expect(digestOfBytes(new Uint8Array(await response.arrayBuffer()))).toBe(blob.digest)
  }
})
