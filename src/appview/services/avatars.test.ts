import { afterEach, beforeEach, expect, test } from 'vitest'

import { pdsBlobCid } from '../../atproto/pds-blob-cid.ts'
import { nextTid, type Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { sha256Hex } from '../../lib/ids.ts'
import { setAccountActive, upsertIdentity } from '../db/identities.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { applyRepoPage } from '../read-model/repo-page.ts'
import { Avatars } from './avatars.ts'

const alice: Did = 'did:plc:alicealicealicealicealic'
const time = '2026-11-22T10:00:00.000Z'
const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(100)])
const cidOf = (bytes: Uint8Array) => pdsBlobCid(sha256Hex(bytes))

let db: Database<AppViewTables>
let asked: string[]
let blobs: Map<string, Uint8Array>
let nowMs: number

beforeEach(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  asked = []
  blobs = new Map([[cidOf(png), png]])
  nowMs = Date.parse(time)
})
afterEach(() => db.destroy())

const avatars = () =>
  new Avatars({
    db,
    pds: {
      findBlob: async (_did, cid) => {
        asked.push(cid)
        return blobs.get(cid)
      },
    },
    now: () => new Date(nowMs),
  })

async function name(cid: string): Promise<void> {
  const avatar = { cid, mimeType: 'image/png', sizeBytes: 100 }
  const record = { repository: 'app', avatar, createdAt: time, updatedAt: time }
  await applyRepoPage(db, { did: alice, rkey: 'app', rev: nextTid(), record })
}

test('a picture that a page names is fetched once', async () => {
  await name(cidOf(png))
  const found = avatars()
  const [one, other] = await Promise.all([found.find(alice, cidOf(png)), found.find(alice, cidOf(png))])
  expect(one).toEqual({ bytes: png, type: 'image/png' })
  expect(other).toEqual(one)
  await found.find(alice, cidOf(png))
  expect(asked).toEqual([cidOf(png)])
})

test('a picture that an account shows is found too', async () => {
  const profile = { display_name: null, description: null, avatar_cid: cidOf(png), fetched_at: time }
  await db
    .insertInto('actor_profiles')
    .values({ did: alice, ...profile })
    .execute()
  expect((await avatars().find(alice, cidOf(png)))?.type).toBe('image/png')
})

test('nothing that no row names is asked for, nor anything of an account that is away', async () => {
  expect(await avatars().find(alice, cidOf(png))).toBeUndefined()
  await name(cidOf(png))
  expect(await avatars().find('did:plc:bobbobbobbobbobbobbobbob', cidOf(png))).toBeUndefined()
  await upsertIdentity(db, { did: alice, handle: 'alice.test', resolvedAt: time })
  await setAccountActive(db, { did: alice, isActive: false, at: time })
  expect(await avatars().find(alice, cidOf(png))).toBeUndefined()
  expect(asked).toEqual([])
})

test.each([
  ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), undefined],
  ['a GIF', Buffer.from('GIF89a'), undefined],
  ['other bytes than its CID says', Buffer.from('anything'), png],
])('%s is no avatar', async (_, bytes, sent) => {
  const cid = cidOf(bytes)
  await name(cid)
  blobs.set(cid, sent ?? bytes)
  expect(await avatars().find(alice, cid)).toBeUndefined()
  expect(asked).toEqual([cid])
})

test('what the PDS does not have is asked for again after a minute', async () => {
  await name(cidOf(png))
  blobs.clear()
  const found = avatars()
  expect(await found.find(alice, cidOf(png))).toBeUndefined()
  blobs.set(cidOf(png), png)
  expect(await found.find(alice, cidOf(png))).toBeUndefined()
  nowMs += 60_000
  expect(await found.find(alice, cidOf(png))).toBeDefined()
})
