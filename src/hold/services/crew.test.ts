import { Secp256k1Keypair } from '@atproto/crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import { captainCollection } from '../../protocol/lexicon/captain-record.ts'
import { holdMigrations, type HoldTables } from '../db/schema.ts'
import { HoldRepo } from '../pds/repo.ts'
import { christenHold } from './christening.ts'
import { Crew } from './crew.ts'

let database: Database<HoldTables>
let repo: HoldRepo
let crew: Crew
let nowMs: number

const now = () => new Date(nowMs)
const captainDid = 'did:plc:captain'

beforeEach(async () => {
  nowMs = Date.parse('2026-03-01T00:00:00Z')
  database = await openDatabase<HoldTables>({ path: ':memory:' }, holdMigrations)
  const signingKey = await Secp256k1Keypair.create()
  repo = await HoldRepo.open({ database, did: 'did:web:hold.example', signingKey, now })
  crew = new Crew({ repo, now })
  const switches = { isPublic: false, allowAllCrew: false, enableBlueskyPosts: false }
  const hold = {
    displayName: 'hold.example',
    owner: captainDid,
    ...switches,
    region: 'north',
    successorDid: undefined,
  }
  const identities = { resolveActor: () => Promise.reject(new Error('a DID is not looked up')) }
  await christenHold({ repo, crew, identities, now }, hold)
})
afterEach(() => database.destroy())

test('a change of the captain record leaves the rest of it, unknown fields too', async () => {
  const record = await repo.findRecord(captainCollection, 'self')
  await repo.putRecord(captainCollection, 'self', { ...record?.value, motto: 'ahoy' })
  const captain = await crew.updateCaptain({
    isPublic: true,
    region: undefined,
    successorDid: 'did:plc:next',
  })
  expect(captain).toMatchObject({ ownerDid: captainDid, isPublic: true, successorDid: 'did:plc:next' })
  expect(captain.region).toBeUndefined()
  expect((await repo.findRecord(captainCollection, 'self'))?.value['motto']).toBe('ahoy')
  expect((await crew.updateCaptain({ successorDid: undefined })).successorDid).toBeUndefined()
})

test('changes at once all take effect', async () => {
  await Promise.all([
    crew.updateCaptain({ isPublic: true }),
    crew.updateCaptain({ allowAllCrew: true }),
    crew.updateCaptain({ region: 'south' }),
    crew.admit('did:plc:one', { role: 'member', permissions: ['blob:read'] }),
  ])
  expect(await crew.getCaptain()).toMatchObject({ isPublic: true, allowAllCrew: true, region: 'south' })
  expect(await crew.find('did:plc:one')).toMatchObject({ permissions: ['blob:read'] })
})

test('a member who is changed was there all along', async () => {
  const member = { role: 'member', permissions: ['blob:read'], tier: 'deckhand' } as const
  await crew.admit('did:web:localhost:1', member)
  nowMs += 1000
  await crew.admit('did:web:localhost%3A1', { role: 'mate', permissions: ['blob:write'] })
  expect(await crew.find('did:web:localhost:1')).toEqual({
    memberDid: 'did:web:localhost%3A1',
    role: 'mate',
    permissions: ['blob:write'],
    addedAt: '2026-03-01T00:00:00.000Z',
  })
})

test('lists everybody, page by page', async () => {
  const dids = Array.from({ length: 5 }, (_, index) => `did:plc:member${index}` as const)
  for (const did of dids) await crew.admit(did, { role: 'member', permissions: [], tier: 't' })
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const page = await crew.list({ limit: 2, cursor })
    expect(page.members.length).toBeLessThanOrEqual(2)
    seen.push(...page.members.map(({ memberDid }) => memberDid))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(seen.sort()).toEqual([captainDid, ...dids].sort())
})

test('who is removed is gone; the captain is not', async () => {
  await crew.admit('did:plc:one', { role: 'member', permissions: ['blob:write'] })
  expect(await crew.remove('did:plc:one')).toBe(true)
  expect(await crew.remove('did:plc:one')).toBe(false)
  expect(await crew.find('did:plc:one')).toBeUndefined()
  await expect(crew.remove(captainDid)).rejects.toMatchObject({ code: 'request_invalid' })
  expect(await crew.find(captainDid)).toBeDefined()
})
