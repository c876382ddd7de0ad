import { beforeEach, expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { digestOfBytes } from '../../protocol/oci/digest.ts'
import { HoldUploadsTwin } from '../../../test/twins/hold-uploads.ts'
import { putBlobLink } from '../db/blob-links.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { Blobs } from './blobs.ts'

const alice: Did = 'did:plc:alice'
const bob: Did = 'did:plc:bob'
const hold: Did = 'did:web:hold.example'
const oldHold: Did = 'did:web:old.example'
const app = { ownerDid: alice, name: 'app' } as const
const bobs = { ownerDid: bob, name: 'app' } as const
const digest = digestOfBytes(Buffer.from('blob'))
const now = () => new Date('2026-01-01T00:00:00Z')

let db: Database<AppViewTables>
let blobs: Blobs
/** Who reads the (private) holds. */
let readers: (Did | undefined)[]
/** Whether the old hold's captain named the other as its successor. */
let isOldSucceeded: boolean
/** Whether the hold has the bytes. */
let isThere: boolean

beforeEach(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  readers = [alice]
  isThere = true
  isOldSucceeded = false
  blobs = new Blobs({
    db,
    now,
    uploads: new HoldUploadsTwin(),
    holds: {
      pushHold: async () => hold,
      currentHold: async (did) => (did === oldHold && isOldSucceeded ? hold : did),
      checkWrite: async () => undefined,
      canRead: async (_hold, reader) => readers.includes(reader),
      locateBlob: async () => (isThere ? { url: 'https://hold.example/x', expiresAtMs: 0 } : undefined),
    },
  })
})

const link = (repository: typeof app | typeof bobs, holdDid = hold) =>
  putBlobLink(db, repository, { digest, holdDid, sizeBytes: 4, createdAt: now().toISOString() })

test('a blob is seen by readers of its hold, in the repository that links it', async () => {
  await link(app)
  expect(await blobs.find(app, digest, alice)).toMatchObject({ sizeBytes: 4 })
  expect(await blobs.find(app, digest, bob)).toBeUndefined()
  expect(await blobs.find(app, digest, undefined)).toBeUndefined()
  expect(await blobs.find({ ownerDid: alice, name: 'other' }, digest, alice)).toBeUndefined()
})

test('a blob on a hold that pushes no longer go to has to be sent again', async () => {
  await link(app, oldHold)
  expect(await blobs.find(app, digest, alice)).toMatchObject({ holdDid: oldHold })
  expect(await blobs.findForPush(app, digest, alice)).toBeUndefined()
  await link(app, hold)
  expect(await blobs.findForPush(app, digest, alice)).toMatchObject({ holdDid: hold })
})

test('a mount takes what the writer may read on the hold he pushes to, where it really is', async () => {
  readers = [alice, bob]
  await link(app)
  const mount = (from?: typeof app) => blobs.mount(bobs, digest, { writer: bob, ...asSource(from, bob) })
  expect(await mount(app)).toMatchObject({ digest, sizeBytes: 4 })
  expect(await mount()).toMatchObject({ digest })
  isThere = false
  expect(await mount(app)).toBeUndefined()
  isThere = true
  readers = [alice]
  expect(await mount(app)).toBeUndefined()
  expect(await mount()).toBeUndefined()
  readers = [alice, bob]
  await link(app, oldHold)
  expect(await mount(app)).toBeUndefined()
})

test('a blob of a hold that was succeeded is not sent again if the successor has it', async () => {
  isOldSucceeded = true
  isThere = false
  await link(app, oldHold)
  expect(await blobs.findForPush(app, digest, alice)).toBeUndefined()
  expect((await blobs.findLinked(app, [digest], alice)).get(digest)).toMatchObject({ holdDid: oldHold })
  readers = [alice, bob]
  const from = { repository: app, reader: bob }
  expect(await blobs.mount(bobs, digest, { writer: bob, from })).toBeUndefined()
  isThere = true
  expect(await blobs.mount(bobs, digest, { writer: bob, from })).toMatchObject({ holdDid: hold })
  expect((await blobs.findLinked(app, [digest], alice)).get(digest)).toMatchObject({ holdDid: hold })
  expect(await blobs.findForPush(app, digest, alice)).toMatchObject({ holdDid: hold })
  isOldSucceeded = false
  expect(await blobs.find(app, digest, alice), 'kept').toMatchObject({ holdDid: hold })
})

const asSource = (repository: typeof app | undefined, reader: Did) =>
  repository === undefined ? {} : { from: { repository, reader } }
