import { expect, test } from 'vitest'

import { openDatabase } from '../../lib/database.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { deleteBlobLink, findBlobAnywhereOnHold, findBlobLink, putBlobLink } from './blob-links.ts'
import { findCursor, putCursor } from './cursors.ts'
import { findHold, putCaptain, putHoldUrl } from './holds.ts'
import { findIdentity, findIdentityByHandle, setAccountActive, upsertIdentity } from './identities.ts'
import { findManifestBytes, putManifestBytes } from './manifest-bytes.ts'
import { migrations } from './migrations.ts'
import { advanceRev } from './record-revs.ts'
import type { AppViewTables } from './schema.ts'
import { advanceUpload, deleteUpload, findUpload, upsertUpload } from './uploads.ts'

const open = () => openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
const alice = 'did:plc:alice'
const hold = 'did:web:hold.example'
const repository = { ownerDid: alice, name: 'app' } as const
const digest = parseDigest(`sha256:${'a'.repeat(64)}`)
const otherDigest = parseDigest(`sha256:${'b'.repeat(64)}`)
const now = '2026-11-22T10:00:00.000Z'

test('only a newer commit advances a record', async () => {
  await using db = await open()
  const change = { did: alice, collection: 'io.atcr.tag', rkey: 'app_latest', isDeleted: false } as const
  expect(await advanceRev(db, { ...change, rev: '3b' })).toBe(true)
  expect(await advanceRev(db, { ...change, rev: '3b' })).toBe(false)
  expect(await advanceRev(db, { ...change, rev: '3a' })).toBe(false)
  expect(await advanceRev(db, { ...change, rev: '3c', isDeleted: true })).toBe(true)
})

test('a blob is linked until its owner deletes it, and again when it is pushed again', async () => {
  await using db = await open()
  const link = { digest, holdDid: hold, sizeBytes: 7 } as const
  await putBlobLink(db, repository, { ...link, createdAt: now })
  expect(await findBlobLink(db, repository, digest)).toEqual(link)
  expect(await findBlobLink(db, { ...repository, name: 'other' }, digest)).toBeUndefined()
  expect(await findBlobAnywhereOnHold(db, hold, digest)).toEqual({ ...link, repository })
  expect(await deleteBlobLink(db, repository, digest, now)).toBe(true)
  expect(await deleteBlobLink(db, repository, digest, now)).toBe(false)
  expect(await findBlobLink(db, repository, digest)).toBeUndefined()
  expect(await findBlobAnywhereOnHold(db, hold, digest)).toBeUndefined()
  await putBlobLink(db, repository, { ...link, createdAt: now })
  expect(await findBlobLink(db, repository, digest)).toEqual(link)
})

test('two writers cannot both move an upload on', async () => {
  await using db = await open()
  const upload = {
    id: 'u',
    accountDid: alice,
    repository,
    holdDid: hold,
    holdUploadId: 'h',
    mode: 'relay',
    offsetBytes: 0,
    digestAlgorithm: 'sha256',
    isHashWhole: true,
    createdAt: now,
    expiresAt: now,
  } as const
  await upsertUpload(db, upload)
  const moved = { ...upload, offsetBytes: 3, tail: Uint8Array.of(1, 2, 3) }
  expect(await advanceUpload(db, moved, 0)).toBe(true)
  expect(await advanceUpload(db, moved, 0)).toBe(false)
  expect(await findUpload(db, 'u')).toEqual(moved)
  expect(await deleteUpload(db, 'u')).toBe(true)
  expect(await deleteUpload(db, 'u')).toBe(false)
})

test('bytes come back as they were', async () => {
  await using db = await open()
  const bytes = Uint8Array.of(0, 255, 10)
  await putManifestBytes(db, digest, { mediaType: 'x/y', bytes, cachedAt: new Date(0) })
  expect(await findManifestBytes(db, digest)).toEqual({ mediaType: 'x/y', bytes })
  expect(await findManifestBytes(db, otherDigest)).toBeUndefined()
})

test('a handle belongs to the account that was found to have it last', async () => {
  await using db = await open()
  await upsertIdentity(db, { did: alice, handle: 'Alice.test', resolvedAt: now })
  await upsertIdentity(db, { did: 'did:plc:new', handle: 'alice.test', resolvedAt: '2026-11-23' })
  await upsertIdentity(db, { did: alice, handle: 'alice.test', resolvedAt: '2026-11-01' })
  expect(await findIdentityByHandle(db, 'ALICE.test')).toMatchObject({ did: 'did:plc:new' })
  expect((await findIdentity(db, alice))?.handle).toBeUndefined()
  await setAccountActive(db, { did: alice, isActive: false, at: '2' })
  await setAccountActive(db, { did: alice, isActive: true, at: '1' })
  expect(await findIdentity(db, alice)).toMatchObject({ isActive: false })
})

test('where a hold is and what it says of itself are kept side by side', async () => {
  await using db = await open()
  await putHoldUrl(db, { did: hold, url: 'https://hold.example', updatedAt: now })
  expect(await findHold(db, hold)).toEqual({ did: hold, url: 'https://hold.example' })
  const captain = { ownerDid: alice, isPublic: true, allowAllCrew: false } as const
  await putCaptain(db, { did: hold, captain, updatedAt: now })
  expect(await findHold(db, hold)).toEqual({ did: hold, url: 'https://hold.example', captain })
})

test('a cursor is as large as microseconds are', async () => {
  await using db = await open()
  expect(await findCursor(db, 'jetstream')).toBeUndefined()
  await putCursor(db, 'jetstream', 1_795_000_000_000_000)
  await putCursor(db, 'jetstream', 1_795_000_000_000_001)
  expect(await findCursor(db, 'jetstream')).toBe(1_795_000_000_000_001)
})
