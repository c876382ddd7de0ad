import { expect, test } from 'vitest'

import type { DidDocument, Identity } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import type { Did } from '../../atproto/syntax.ts'
import { waitUnlessAborted } from '../../lib/clock.ts'
import { openDatabase } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Indexer } from './indexer.ts'
import { Lookups } from './lookups.ts'
import { listAccountsOfNetwork } from './repo-lists.ts'

const log = logger('test')
log.level = 'silent'

test('a DID is looked up once at a time, again when asked meanwhile, and a failure leaves no trace', async () => {
  const calls: Did[] = []
  const gates: (() => void)[] = []
  const lookups = new Lookups({
    log,
    lookUp: (did) => {
      calls.push(did)
      return new Promise((resolve, reject) =>
        gates.push(() => (did === 'did:plc:bad' ? reject(new Error('no')) : resolve())),
      )
    },
  })
  lookups.request('did:plc:a')
  lookups.request('did:plc:a')
  lookups.request('did:plc:bad')
  expect(calls).toEqual(['did:plc:a', 'did:plc:bad'])
  for (const open of gates.splice(0)) open()
  await new Promise((resolve) => setImmediate(resolve))
  expect(calls).toEqual(['did:plc:a', 'did:plc:bad', 'did:plc:a'])
  for (const open of gates) open()
  await lookups.idle()
  await lookups[Symbol.asyncDispose]()
  lookups.request('did:plc:late')
  expect(calls).toHaveLength(3)
})

test('a server that never answers gives its place back, and holds up no stop', async () => {
  const ended: Did[] = []
  const lookUp = (did: Did, signal: AbortSignal) =>
    waitUnlessAborted(new Promise<void>(() => undefined), signal).finally(() => ended.push(did))
  const patient = new Lookups({ log, lookUp })
  const impatient = new Lookups({ log, lookUp, patienceMs: 1 })
  for (const name of ['a', 'b', 'c', 'd', 'e']) impatient.request(`did:plc:${name}`)
  await impatient.idle()
  expect(ended).toHaveLength(5)
  patient.request('did:plc:f')
  await patient[Symbol.asyncDispose]()
  expect(ended).toHaveLength(6)
})

test('a big network without lists by collection is left alone, down to its first account', async () => {
  const page = async (url: URL) => {
    if (!url.pathname.endsWith('.listRepos'))
      return Response.json({ error: 'MethodNotImplemented' }, { status: 501 })
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const didOf = (index: number) =>
      `did:plc:${String(from + index)
        .padStart(24, 'a')
        .replaceAll(/[0189]/g, 'b')}`
    const repos = Array.from({ length: 1000 }, (_, index) => ({
      did: didOf(index),
      head,
      rev: '3kaaaaaaaaa2a',
    }))
    return Response.json({ repos, cursor: String(from + 1000) })
  }
  const asked: URL[] = []
  const fetch: Fetch = async (input) => {
    asked.push(new URL(input instanceof Request ? input.url : input))
    return page(asked.at(-1) as URL)
  }
  const listed: Did[] = []
  const needs = { relayUrls: ['http://relay.example'], fetch, log }
  expect(await listAccountsOfNetwork(needs, async (dids) => void listed.push(...dids))).toBe(false)
  expect([listed.length, asked.length]).toEqual([0, 12])
})
const head = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'

test('the indexer stops at once, even when its event source is not there', async () => {
  await using db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  const indexer = new Indexer({
    db,
    log,
    identities: {
      resolveDid: async (did): Promise<Identity> => ({
        did,
        handle: undefined,
        pdsUrl: undefined,
        holdUrl: undefined,
        document: { id: did } satisfies DidDocument,
      }),
      forget: () => undefined,
    },
    getCaptain: async () => ({ ownerDid: 'did:plc:x', isPublic: true, allowAllCrew: false }),
    getActorProfile: async () => ({}),
    jetstreamUrls: ['ws://127.0.0.1:1'],
    firehose: { events: () => (async function* () {})() },
    firehoses: [{ did: 'did:web:hold.example' }],
    backfill: undefined,
    now: () => new Date(0),
  })
  indexer.start()
  await indexer.settled(0)
  await indexer[Symbol.asyncDispose]()
  expect(indexer.counts).toEqual({ applied: 0, outdated: 0, malformed: 0, failed: 0 })
})
