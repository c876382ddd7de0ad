import { beforeEach, describe, expect, test } from 'vitest'

import { openDatabase, type Database } from '../../lib/database.ts'
import type { Did } from '../../atproto/syntax.ts'
import { HoldBlobsTwin } from '../../../test/twins/hold-blobs.ts'
import { HoldCrewTwin } from '../../../test/twins/hold-crew.ts'
import { putCaptain, upsertCrewMember } from '../db/holds.ts'
import { migrations } from '../db/migrations.ts'
import { upsertSailorProfile } from '../db/sailor-profiles.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Holds } from './holds.ts'

const hold = 'did:web:hold.example'
const next = 'did:web:next.example'
const [captain, reader, writer, admin, stranger] = ['captain', 'reader', 'writer', 'admin', 'stranger'].map(
  (name): Did => `did:plc:${name}`,
) as [Did, Did, Did, Did, Did]
const at = '2026-01-01T00:00:00.000Z'

let nowMs: number
let db: Database<AppViewTables>
let crew: HoldCrewTwin
let blobs: HoldBlobsTwin
let profile: Did | 'none' | undefined
let holds: Holds
const now = () => new Date(nowMs)

beforeEach(async () => {
  nowMs = Date.parse(at)
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  crew = new HoldCrewTwin()
  blobs = new HoldBlobsTwin(now)
  profile = undefined
  crew.crew.set(`${hold} ${reader}`, ['blob:read'])
  crew.crew.set(`${hold} ${writer}`, ['blob:write'])
  crew.crew.set(`${hold} ${admin}`, ['crew:admin', 'blob:write'])
  holds = new Holds({
    db,
    crew,
    blobs,
    profiles: { findDefaultHold: async () => profile },
    defaultHoldDid: hold,
    managedHoldDids: [next],
    now,
  })
})

const open = (isPublic: boolean, more: { allowAllCrew?: boolean; successorDid?: Did } = {}) =>
  crew.captains.set(hold, { ownerDid: captain, isPublic, allowAllCrew: false, ...more })

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )

test.each([
  ['nobody', undefined, true, false, 'refused'],
  ['captain', captain, true, true, 'ok'],
  ['crew that reads', reader, true, true, 'refused'],
  ['crew that writes', writer, true, true, 'ok'],
  ['crew that administers', admin, true, true, 'ok'],
  ['a stranger', stranger, true, false, 'refused'],
] as const)(
  '%s: reads a public hold, a private one, writes',
  async (_who, did, readsPublic, readsPrivate, writes) => {
    open(false)
    expect(await holds.canRead(hold, did)).toBe(readsPrivate)
    if (did !== undefined)
      expect(await codeOf(holds.checkWrite(hold, did))).toBe(writes === 'ok' ? 'ok' : 'not_crew')
    await putCaptain(db, {
      did: hold,
      captain: { ownerDid: captain, isPublic: true, allowAllCrew: false },
      updatedAt: at,
    })
    expect(await holds.canRead(hold, did)).toBe(readsPublic)
  },
)

test('a denial is worded as other implementations word it', async () => {
  open(true)
  await expect(holds.checkWrite(hold, stranger)).rejects.toThrow(
    /^access denied for blob:write: .* \(required: blob:write\)$/,
  )
})

test('a hold that takes in everyone takes in who pushes', async () => {
  open(true, { allowAllCrew: true })
  expect(await codeOf(holds.checkWrite(hold, stranger))).toBe('ok')
  expect(crew.crew.get(`${hold} ${stranger}`)).toContain('blob:write')
})

test('what the index grants costs no call; a refusal is asked for once a minute', async () => {
  await putCaptain(db, {
    did: hold,
    captain: { ownerDid: captain, isPublic: false, allowAllCrew: false },
    updatedAt: at,
  })
  const member = {
    holdDid: hold,
    rkey: 'x',
    memberDid: reader,
    role: 'member',
    permissions: ['blob:read'],
    addedAt: at,
  } as const
  await upsertCrewMember(db, { ...member, permissions: ['blob:read'] })
  expect(await holds.canRead(hold, reader)).toBe(true)
  expect(crew.callCount).toBe(0)
  for (let ask = 0; ask < 5; ask++) expect(await holds.canRead(hold, stranger)).toBe(false)
  expect(crew.callCount).toBe(1)
  crew.crew.set(`${hold} ${stranger}`, ['blob:read'])
  nowMs += 61_000
  expect(await holds.canRead(hold, stranger)).toBe(true)
})

test('pushes go to the profile’s hold, else the default, and follow a successor', async () => {
  open(true)
  crew.captains.set(next, { ownerDid: captain, isPublic: true, allowAllCrew: false })
  expect(await holds.pushHold(writer)).toBe(hold)
  profile = 'none'
  expect(await codeOf(holds.pushHold(reader))).toBe('hold_unknown')
  await upsertSailorProfile(db, {
    did: reader,
    defaultHoldDid: next,
    autoRemoveUntagged: false,
    updatedAt: at,
  })
  expect(await holds.pushHold(reader)).toBe(next)
  await putCaptain(db, {
    did: hold,
    captain: { ownerDid: captain, isPublic: true, allowAllCrew: false, successorDid: next },
    updatedAt: at,
  })
  expect(await holds.pushHold(writer)).toBe(next)
})

describe('a hold with a successor', () => {
  const blob = { ownerDid: captain, digest: 'sha256:x' }
  const at0 = (did: string) => `https://${did.slice(8)}/blobs/sha256:x?for=anyone`
  const nextCaptain = { ownerDid: captain, isPublic: true, allowAllCrew: false }

  beforeEach(() => {
    open(true, { successorDid: next })
    crew.captains.set(next, nextCaptain)
  })

  test('holds that name each other are an error, not a loop', async () => {
    crew.captains.set(next, { ...nextCaptain, successorDid: hold })
    expect(await codeOf(holds.pushHold(writer))).toBe('hold_unknown')
    expect(await codeOf(holds.locateBlob(hold, undefined, blob))).toBe('hold_unknown')
    crew.captains.set('did:web:self.example', { ...nextCaptain, successorDid: 'did:web:self.example' })
    expect(await codeOf(holds.currentHold('did:web:self.example'))).toBe('hold_unknown')
  })

  test('a chain has an end', async () => {
    const nth = (index: number): Did => `did:web:h${index}.example`
    for (let index = 0; index < 20; index++)
      crew.captains.set(nth(index), {
        ...nextCaptain,
        ...(index === 9 ? {} : { successorDid: nth(index + 1) }),
      })
    expect(await holds.currentHold(nth(1))).toBe(nth(9))
    expect(await codeOf(holds.currentHold(nth(0)))).toBe('hold_unknown')
    expect(await codeOf(holds.currentHold(nth(10)))).toBe('hold_unknown')
  })

  test('the successor serves, and what it lacks the old one', async () => {
    expect((await holds.locateBlob(hold, undefined, blob))?.url).toBe(at0(next))
    nowMs += blobs.lifetimeMs
    blobs.lacking.add(next)
    expect((await holds.locateBlob(hold, undefined, blob))?.url).toBe(at0(hold))
    nowMs += blobs.lifetimeMs
    blobs.lacking.add(hold)
    expect(await holds.locateBlob(hold, undefined, blob)).toBeUndefined()
  })

  test('it is remembered when the old hold is gone', async () => {
    expect(await holds.currentHold(hold)).toBe(next)
    crew.captains.delete(hold)
    blobs.down.add(hold)
    nowMs += 3_600_000
    expect((await holds.locateBlob(hold, undefined, blob))?.url).toBe(at0(next))
    expect(await holds.canRead(hold, undefined)).toBe(true)
    blobs.lacking.add(next)
    nowMs += blobs.lifetimeMs
    await expect(holds.locateBlob(hold, undefined, blob)).rejects.toThrow(/did not answer, and its successor/)
  })

  test('one that nobody heard of is found by asking when the blob is missing', async () => {
    await putCaptain(db, { did: hold, captain: nextCaptain, updatedAt: at })
    blobs.lacking.add(hold)
    expect((await holds.locateBlob(hold, undefined, blob))?.url).toBe(at0(next))
    crew.captains.delete(hold)
    expect(await holds.pushHold(writer)).toBe(next)
  })

  test('a hold that is gone without a word is named, and asked once a minute', async () => {
    await putCaptain(db, { did: hold, captain: nextCaptain, updatedAt: at })
    crew.captains.delete(hold)
    blobs.down.add(hold)
    for (let ask = 0; ask < 3; ask++) {
      await expect(holds.locateBlob(hold, undefined, blob)).rejects.toThrow(
        `hold ${hold} did not answer, and it has named no successor that this registry knows of`,
      )
    }
    expect(crew.callCount).toBe(1)
    expect(await holds.findNewSuccessor(hold)).toBeUndefined()
  })

  test('a successor that was never there serves no pull and takes no push', async () => {
    crew.captains.delete(next)
    expect((await holds.locateBlob(hold, undefined, blob))?.url).toBe(at0(hold))
    expect(await holds.canRead(hold, undefined)).toBe(true)
    await expect(holds.pushHold(writer)).rejects.toThrow(`was succeeded by ${next}, which did not answer`)
  })

  test('the successor says who may read', async () => {
    crew.captains.set(next, { ...nextCaptain, isPublic: false })
    crew.crew.set(`${next} ${stranger}`, ['blob:read'])
    const readers = [undefined, captain, reader, stranger]
    expect(await Promise.all(readers.map((did) => holds.canRead(hold, did)))).toEqual([
      false,
      true,
      false,
      true,
    ])
  })
})

test('URLs of a public hold are shared by all readers, those of a private one are not', async () => {
  open(true)
  const blob = { ownerDid: captain, digest: 'sha256:x' }
  const first = await holds.locateBlob(hold, reader, blob)
  expect(await holds.locateBlob(hold, undefined, blob)).toEqual(first)
  expect(blobs.callCount).toBe(1)
  nowMs += blobs.lifetimeMs - 30_000
  expect(await holds.locateBlob(hold, undefined, blob)).not.toEqual(first)
  await putCaptain(db, {
    did: hold,
    captain: { ownerDid: captain, isPublic: false, allowAllCrew: false },
    updatedAt: at,
  })
  const mine = await holds.locateBlob(hold, reader, blob)
  const theirs = await holds.locateBlob(hold, writer, blob)
  expect([mine?.url, theirs?.url]).toEqual([
    `https://hold.example/blobs/sha256:x?for=${reader}`,
    `https://hold.example/blobs/sha256:x?for=${writer}`,
  ])
})

test('only the operator’s own holds are trusted with direct uploads, in either spelling', () => {
  expect([hold, next, 'did:web:other.example'].map((did) => holds.isManaged(did as Did))).toEqual([
    true,
    true,
    false,
  ])
})
