import { expect, test } from 'vitest'

import type { Fetch } from '../../src/atproto/outbound-fetch.ts'
import { giveAvatar } from '../../src/hold/services/profile-avatar.ts'
import { crewCollection, crewRkey } from '../../src/protocol/lexicon/crew-record.ts'
import { TestHold } from './test-hold.ts'

const profileOf = async (hold: TestHold) =>
  (await hold.running.context.repo.findRecord('app.bsky.actor.profile', 'self'))?.value

test('crew of an older hold, under any key and more than once, is crew', async () => {
  await using hold = await TestHold.start()
  const { repo, crew } = hold.running.context
  const { member, stranger, captain } = hold.accounts
  const record = (did: string, permissions: string[]) => ({ member: did, role: 'member', permissions, addedAt: '2025-01-01T00:00:00Z' }) // prettier-ignore
  await repo.createRecord(crewCollection, '3jzfcijpj2z2a', record(member.did, ['blob:write']))
  await repo.createRecord(crewCollection, '3jzfcijpj2z2b', record(member.did, ['blob:read']))
  await crew.admit(stranger.did, { role: 'member', permissions: ['blob:read'] })
  await repo.createRecord(crewCollection, '3jzfcijpj2z2c', record(stranger.did, ['blob:write', 'crew:admin']))
  const initiate = () =>
    hold.call('io.atcr.hold.initiateUpload', { as: member, input: { digest: 'uploads/x' } })
  expect((await initiate()).status).toBe(403)
  await hold.restart()
  expect((await initiate()).status).toBe(200)
  const { records } = await hold.running.context.repo.listRecords(crewCollection)
  const keys = records.map(({ uri }) => uri.slice(uri.lastIndexOf('/') + 1))
  expect(keys.toSorted()).toEqual([captain, member, stranger].map(({ did }) => crewRkey(did)).toSorted())
  // What today's programs wrote is not overruled.
  expect((await hold.running.context.crew.find(stranger.did))?.permissions).toEqual(['blob:read'])
  const rev = hold.running.context.repo.getLatestCommit().rev
  await hold.restart()
  expect(hold.running.context.repo.getLatestCommit().rev).toBe(rev)
})

const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(1000, 7)])
const serving =
  (body: Uint8Array<ArrayBuffer>, status = 200): Fetch =>
  async () =>
    new Response(body, { status, headers: { 'content-type': 'image/png' } })

test('the profile gets a picture once, and keeps one that is there', async () => {
  await using hold = await TestHold.start()
  const { repo, pdsBlobs: blobs } = hold.running.context
  const give = (fetch: Fetch) => giveAvatar({ repo, blobs, fetch }, 'https://pictures.example/hold.png')
  const before = await profileOf(hold)
  for (const [fetch, why] of [
    [serving(new Uint8Array(png), 404), /status 404/],
    [serving(new Uint8Array(Buffer.from('<svg onload="x">'))), /neither PNG nor JPEG/],
    [serving(new Uint8Array(Buffer.concat([png, Buffer.alloc(1_000_000)]))), /1000000/],
    [() => Promise.reject(new Error('no such host')), /no such host/],
  ] as const) {
    await expect(give(fetch)).rejects.toThrow(why)
    expect(await profileOf(hold)).toEqual(before)
  }
  expect(await give(serving(new Uint8Array(png)))).toBe(true)
  const profile = await profileOf(hold)
  expect(profile).toMatchObject({ ...before, avatar: { mimeType: 'image/png', size: png.byteLength } })
  const jpeg = serving(new Uint8Array(Buffer.from('ffd8ffe000', 'hex')))
  expect(await give(jpeg)).toBe(false)
  expect(await profileOf(hold)).toEqual(profile)
  await repo.deleteRecord('app.bsky.actor.profile', 'self')
  expect(await give(jpeg)).toBe(false)
  expect(await profileOf(hold)).toBeUndefined()
})
