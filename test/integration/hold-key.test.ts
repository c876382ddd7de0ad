import { spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { once } from 'node:events'

import { Secp256k1Keypair } from '@atproto/crypto'
import { IdResolver } from '@atproto/identity'
import { verifyRepoCar } from '@atproto/repo'
import { Firehose, type Event } from '@atproto/sync'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { bareEnvironment } from '../network/bare-environment.ts'
import { Gates } from '../network/faults.ts'
import { PlcDirectory } from '../network/plc.ts'
import { freePort } from './test-hold.ts'

/** Goal: after `key rotate` the whole network goes on. Method: the program itself, and a consumer that verifies everything. */

let folder: string
let plc: PlcDirectory
let port: number
const gates = new Gates()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-key-'))
  plc = await PlcDirectory.start({ file: join(folder, 'plc.json') })
  gates.install(plc.server, 'plc')
  port = await freePort()
})
afterEach(async () => {
  await plc[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

type Method = 'web' | 'plc'

const start = (method: Method): Promise<RunningHold> =>
  startHold(
    holdConfig({
      server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, test_mode: true },
      registration: { owner_did: 'did:plc:captain' },
      database: { path: join(folder, 'hold.db'), did_method: method, plc_directory_url: plc.url },
    }),
  )

async function command(method: Method, ...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const main = join(import.meta.dirname, '../../src/hold/main.ts')
  const child = spawn(process.execPath, [main, ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: bareEnvironment({
      HOLD_SERVER_PUBLIC_URL: `http://localhost:${port}`,
      HOLD_SERVER_TEST_MODE: 'true',
      HOLD_DATABASE_PATH: join(folder, 'hold.db'),
      HOLD_DATABASE_DID_METHOD: method,
      HOLD_DATABASE_PLC_DIRECTORY_URL: plc.url,
    }),
  })
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { code: code as number, out, err }
} // prettier-ignore

async function keyIn(path: string): Promise<string> {
  return (await Secp256k1Keypair.import((await readFile(path, 'utf8')).trim())).did()
}

/** Resolves with the events after the cursor up to the record, each verified with the key that a fresh look at the DID document gives. */
async function consumeUntil(rkey: string, cursor: number): Promise<Event[]> {
  const events: Event[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const firehose = new Firehose({
    service: `ws://localhost:${port}`,
    idResolver: new IdResolver({ fetch: globalThis.fetch, plcUrl: plc.url }),
    getCursor: () => cursor,
    handleEvent: (event) => {
      events.push(event)
      if ('rkey' in event && event.rkey === rkey) resolve()
    },
    onError: reject,
  })
  void firehose.start()
  try {
    await promise
  } finally {
    await firehose.destroy()
  }
  return events
}

test.each<Method>(['web', 'plc'])('did:%s: a rotated key signs, and everyone accepts it', async (method) => {
  const keyPath = join(folder, 'signing.key')
  let did: string
  let seq: number
  {
    await using hold = await start(method)
    did = hold.did
    await hold.context.repo.createRecord('app.example.note', 'before', { text: 'with the old key' })
    seq = hold.context.repo.sequencer.newestSeq
    const refused = await command(method, 'key', 'rotate')
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('is in use by process')])
    const shown = await command(method, 'key', 'show')
    expect(shown).toMatchObject({ code: 0, out: expect.stringContaining(await keyIn(keyPath)) as string })
    expect(shown.out).toContain(did)
  }
  const before = await keyIn(keyPath)
  const rotated = await command(method, 'key', 'rotate')
  expect(rotated.code, rotated.err).toBe(0)
  const after = await keyIn(keyPath)
  expect(after).not.toBe(before)
  expect(rotated.out).toContain(`${did} signs with ${after}`)
  const aside = (await readdir(folder)).find((name) => name.startsWith('signing.key.until-'))
  expect(await keyIn(join(folder, aside ?? ''))).toBe(before)

  await using hold = await start(method)
  expect(hold.did).toBe(did)
  const document = (await new IdResolver({ fetch: globalThis.fetch, plcUrl: plc.url }).did.resolve(did, true)) as {
    verificationMethod: { publicKeyMultibase: string }[]
  } // prettier-ignore
  expect(`did:key:${document.verificationMethod[0]?.publicKeyMultibase}`).toBe(after)
  const car = await fetch(`http://127.0.0.1:${port}/xrpc/com.atproto.sync.getRepo?did=${did}`)
  const { creates } = await verifyRepoCar(new Uint8Array(await car.arrayBuffer()), did, after)
  expect(creates.map(({ rkey }) => rkey)).toContain('before')

  await hold.context.repo.createRecord('app.example.note', 'after', { text: 'with the new key' })
  const events = await consumeUntil('after', seq)
  expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['identity', 'sync', 'create']))
  const text = await command(method, 'key', 'show')
  expect(text.out).toContain(method === 'plc' ? 'the same signing key' : after)
  expect(text.out).not.toContain((await readFile(keyPath, 'utf8')).trim())
})

test('a rotation that the directory could not follow changes nothing', async () => {
  {
    await using _hold = await start('plc')
  }
  const before = await readFile(join(folder, 'signing.key'))
  {
    using _down = gates.faults.add({ to: 'plc', kind: 'error' })
    const { code, err } = await command('plc', 'key', 'rotate')
    expect([code, err]).toEqual([1, expect.stringContaining('try again')])
  }
  await rm(join(folder, 'rotation.key'))
  const { code, err } = await command('plc', 'key', 'rotate')
  expect([code, err]).toEqual([1, expect.stringContaining('database.rotation_key_path')])
  expect(await readFile(join(folder, 'signing.key'))).toEqual(before)
})

test('key show of a hold that never ran says how to make one', async () => {
  const { code, err } = await command('web', 'key', 'show')
  expect([code, err]).toEqual([1, expect.stringContaining('atcr-hold serve')])
})
