import { expect, test } from 'vitest'

import type { DidDocument, Identity } from '../../atproto/identity.ts'
import type { Did } from '../../atproto/syntax.ts'
import { openDatabase } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Indexer } from './indexer.ts'
import { Lookups } from './lookups.ts'

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
