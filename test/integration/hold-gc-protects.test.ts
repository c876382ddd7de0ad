import { createServer } from 'node:http'

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import type { FaultRule } from '../network/faults.ts'
import { listen } from '../network/listening.ts'
import { blobOf, imageOfLayers, type SampleImage } from '../network/sample-image.ts'
import { GcNetwork } from './gc-network.ts'

/**
 * Goal: nothing of an owner's goes unless his own PDS says, twice and a grace period apart, that it is gone. Method: a
 * real PDS behind a gate that answers in its stead; run after run, with more than a grace period between them.
 */

const status = '/xrpc/com.atproto.sync.getRepoStatus'
const list = '/xrpc/com.atproto.repo.listRecords'
const record = '/xrpc/com.atproto.repo.getRecord'
const says = (path: string | RegExp, code: number, body: object | string): FaultRule => ({
  kind: 'error',
  from: 'hold',
  to: 'pds',
  path,
  status: code,
  body: typeof body === 'string' ? body : JSON.stringify(body),
  headers: { 'content-type': typeof body === 'string' ? 'text/html' : 'application/json' },
})
const notThere = { error: 'RecordNotFound', message: 'Could not locate record' }

let gc: GcNetwork
let image: SampleImage
let count = 0

beforeAll(async () => {
  gc = await GcNetwork.create()
})
afterAll(() => gc?.[Symbol.asyncDispose]())
beforeEach(async () => {
  gc.network.faults.clear()
  image = imageOfLayers([blobOf(Buffer.from(`to be kept ${count++}`))])
  await gc.push('alice.test/kept', image, `v${count}`)
  await gc.passUploads()
})

async function expectKept(): Promise<void> {
  const rows = await gc.rows()
  for (const { digest } of image.blobs) expect(rows).toContain(digest)
  expect(await gc.isPulled('alice.test/kept', image)).toBe(true)
}

async function collectFor(runs: number): Promise<number> {
  let unreachable = 0
  for (let run = 0; run < runs; run++) {
    unreachable += (await gc.collect()).ownersUnreachable
    gc.move(11)
  }
  return unreachable
}

test.each<[string, FaultRule[]]>([
  ['cuts every connection', [{ kind: 'drop', from: 'hold', to: 'pds' }]],
  ['is out of order', [says(/./, 500, 'no')]],
  ['is behind a proxy that knows nothing', [says(/./, 404, '<h1>not found</h1>')]],
  ['has had too many requests', [says(/./, 429, { error: 'RateLimitExceeded' })]],
  ['says that the account is deactivated', [says(status, 200, { did: 'did:plc:alice', active: false, status: 'deactivated' })]], // prettier-ignore
  ['says that the account is taken down', [says(status, 200, { did: 'did:plc:alice', active: false, status: 'takendown' })]], // prettier-ignore
  ['says that the account is suspended', [says(status, 400, { error: 'RepoSuspended', message: 'no' })]],
  ['fails at the list', [says(list, 500, 'no')]],
  ['fails at single records', [says(list, 200, { records: [] }), says(record, 502, 'no')]],
  ['says of records what it may mean of the account', [says(list, 200, { records: [] }), says(record, 400, { error: 'InvalidRequest', message: 'Could not locate record' })]], // prettier-ignore
  ['speaks no lexicon', [says(list, 200, { records: 'none' })]],
])('a PDS that %s', async (_, rules) => {
  for (const rule of rules) gc.network.faults.add(rule)
  expect(await collectFor(4)).toBeGreaterThanOrEqual(4)
  gc.network.faults.clear()
  await expectKept()
})

test.each<[string, FaultRule]>([
  ['cannot be reached', { kind: 'drop', from: 'hold', to: 'plc' }],
  ['is out of order', { kind: 'error', from: 'hold', to: 'plc', status: 503 }],
  ['says that there is no such DID', { kind: 'error', from: 'hold', to: 'plc', status: 404 }],
  ['says that it was buried', { kind: 'error', from: 'hold', to: 'plc', status: 410 }],
])('a directory that %s', async (_, rule) => {
  gc.network.faults.add(rule)
  expect(await collectFor(4)).toBeGreaterThanOrEqual(4)
  gc.network.faults.clear()
  await expectKept()
})

test('a list that leaves records out', async () => {
  gc.network.faults.add(says(list, 200, { records: [] }))
  expect(await collectFor(4)).toBe(0)
  gc.network.faults.clear()
  await expectKept()
})

test('a record that was missing once, and is there again when it would count', async () => {
  for (const rule of [says(list, 200, { records: [] }), says(record, 400, notThere)]) gc.network.faults.add(rule) // prettier-ignore
  expect((await gc.collect()).manifestsMissing).toBeGreaterThan(0)
  gc.network.faults.clear()
  gc.move(11)
  expect((await gc.collect()).manifestsMissing).toBe(0)
  // Missing again is missing for the first time.
  for (const rule of [says(list, 200, { records: [] }), says(record, 400, notThere)]) gc.network.faults.add(rule) // prettier-ignore
  expect(await gc.collect()).toMatchObject({ manifestsRemoved: 0 })
  gc.network.faults.clear()
  await collectFor(3)
  await expectKept()
})

test('an account that is deactivated between two questions', async () => {
  const inactive = { did: 'did:plc:alice', active: false, status: 'deactivated' }
  for (const rule of [says(list, 200, { records: [] }), says(record, 400, notThere)]) gc.network.faults.add(rule) // prettier-ignore
  for (let run = 0; run < 4; run++) {
    gc.network.calls.reset()
    const gate = Promise.withResolvers<void>()
    const waiting = gc.network.faults.add({ kind: 'delay', from: 'hold', path: record, until: gate.promise })
    const ended = gc.collect()
    // The first question of a look was answered by the PDS; the records are asked for.
    await expect.poll(() => gc.network.calls.count({ from: 'hold', path: record })).toBeGreaterThan(0)
    const fault = gc.network.faults.add(says(status, 200, inactive))
    gate.resolve()
    expect(await ended).toMatchObject({ ownersUnreachable: 1 })
    waiting.remove()
    fault.remove()
    gc.move(11)
  }
  gc.network.faults.clear()
  await expectKept()
})

test('a real account that is deactivated, and comes back', async () => {
  const token = await gc.session('alice')
  await gc.pds('com.atproto.server.deactivateAccount', {}, token)
  expect(await collectFor(4)).toBeGreaterThanOrEqual(4)
  await gc.pds('com.atproto.server.activateAccount', undefined, token)
  await gc.network.settled()
  await collectFor(2)
  await expectKept()
})

test('an account that moves: the new PDS does not have it yet, then has it inactive', async () => {
  let answer = { code: 400, body: { error: 'RepoNotFound', message: 'no such repo' } as object }
  const next = await listen(
    createServer((_, response) => response.writeHead(answer.code, { 'content-type': 'application/json' }).end(JSON.stringify(answer.body))), // prettier-ignore
    { what: 'the new PDS', host: '127.0.0.1', port: 0 },
  )
  const { did } = gc.network.accounts.alice
  const document = (await (await fetch(`${gc.network.plc.url}/${did}`)).json()) as { service: { serviceEndpoint: string }[] } // prettier-ignore
  for (const service of document.service) service.serviceEndpoint = `http://localhost:${next.port}`
  gc.network.faults.add({ kind: 'error', from: 'hold', to: 'plc', path: `/${did}`, status: 200, body: JSON.stringify(document) }) // prettier-ignore
  expect(await collectFor(3)).toBeGreaterThanOrEqual(3)
  answer = { code: 200, body: { did, active: false, status: 'deactivated' } }
  expect(await collectFor(3)).toBeGreaterThanOrEqual(3)
  gc.network.faults.clear()
  await next.stop()
  await expectKept()
})

test('an account that is deleted is believed gone after a month of the same answer, not before', async () => {
  gc.network.faults.add(says(status, 400, { error: 'RepoNotFound', message: 'no such repo' }))
  for (let day = 0; day < 28; day += 7) {
    await gc.collect()
    gc.move(7 * 24)
  }
  // Somebody says otherwise once: it begins anew.
  gc.network.faults.clear()
  await gc.collect()
  gc.network.faults.add(says(status, 400, { error: 'RepoNotFound', message: 'no such repo' }))
  for (let day = 0; day < 28; day += 7) {
    expect(await gc.collect()).toMatchObject({ manifestsRemoved: 0 })
    gc.move(7 * 24)
  }
  expect(await gc.rows()).toEqual(expect.arrayContaining(image.blobs.map(({ digest }) => digest)))
  gc.move(7 * 24)
  expect((await gc.collect()).manifestsRemoved).toBeGreaterThan(0)
  gc.move(11)
  await gc.collect()
  expect(await gc.rows()).toEqual([])
})
