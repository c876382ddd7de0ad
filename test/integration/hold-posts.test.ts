import { afterEach, beforeEach, expect, test } from 'vitest'

import * as post from '../../src/protocol/lexicon/generated/app/bsky/feed/post.ts'
import { postCollection } from '../../src/protocol/lexicon/push-post-record.ts'
import { digestOf, TestHold } from './test-hold.ts'

/** Goal: a post per pushed tag where the captain wants it, never so many that anybody minds, never at a push's expense. */

let hold: TestHold

beforeEach(async () => {
  hold = await TestHold.start({ enableBlueskyPosts: true, appviewDid: 'did:web:registry.example' })
})
afterEach(() => hold[Symbol.asyncDispose]())

let editions = 0
async function push(repository: string, tag: string | undefined, edition = String((editions += 1))) {
  const input = {
    operation: 'push',
    repository,
    userDid: hold.accounts.captain.did,
    manifestDigest: digestOf(Buffer.from(edition)),
    manifest: { layers: [] },
    ...(tag === undefined ? {} : { tag }),
  }
  const { status, body } = await hold.call('io.atcr.hold.notifyManifest', {
    as: hold.accounts.captain,
    input,
  })
  expect(status).toBe(200)
  return body
}
const posts = async () =>
  (await hold.running.context.repo.listRecords(postCollection, { limit: 100 })).records

test('a tag is told once, as Bluesky wants it', async () => {
  const first = await push('team/app', '1.0', 'a')
  expect(first).toMatchObject({ success: true, postCreated: true })
  const [record] = await posts()
  expect(record?.uri).toBe(first['postUri'])
  expect(post.main.safeParse(record?.value)).toMatchObject({ success: true })
  expect(record?.value['text']).toBe('did:plc:captain pushed team/app:1.0')
  expect(JSON.stringify(record?.value)).toContain('https://registry.example/r/did:plc:captain/team/app')
  // The notice again, as an AppView sends it that heard no answer.
  expect(await push('team/app', '1.0', 'a')).toMatchObject({ postCreated: false, postUri: first['postUri'] })
  expect(await push('team/app', undefined)).not.toHaveProperty('postCreated')
  expect(await posts()).toHaveLength(1)
})

test('a burst of tags is one post; the next comes after a while, over a restart too', async () => {
  await push('app', '1.0')
  for (const tag of ['1', 'latest']) expect(await push('app', tag)).not.toHaveProperty('postUri')
  expect(await push('other', '1.0')).toMatchObject({ postCreated: true })
  await hold.restart()
  expect(await push('app', '1.1')).not.toHaveProperty('postUri')
  hold.advance(601)
  expect(await push('app', '1.2')).toMatchObject({ postCreated: true })
  expect(await posts()).toHaveLength(3)
})

test('the hold as a whole has a limit an hour', async () => {
  for (let index = 0; index < 35; index++) await push(`r${index}`, 'latest')
  expect(await posts()).toHaveLength(30)
  hold.advance(3_601)
  expect(await push('app', 'latest')).toMatchObject({ postCreated: true })
})

test('pushes at the same moment stay within the limits', async () => {
  await Promise.all(['1', '2', '3', '4'].map((tag) => push('app', tag)))
  expect(await posts()).toHaveLength(1)
})

test('the captain may change his mind; a post that fails is no failed push', async () => {
  const { crew, repo } = hold.running.context
  await crew.updateCaptain({ enableBlueskyPosts: false })
  expect(await push('app', '1')).not.toHaveProperty('postUri')
  await crew.updateCaptain({ enableBlueskyPosts: true })
  const putRecord = repo.putRecord.bind(repo)
  repo.putRecord = () => Promise.reject(new Error('no'))
  expect(await push('app', '1')).toMatchObject({ success: true, statsUpdated: true })
  repo.putRecord = putRecord
  expect(await push('other', '1')).toMatchObject({ postCreated: true })
})

test('what is no tag is refused', async () => {
  const input = { operation: 'push', repository: 'app', tag: '#spam @you', userDid: hold.accounts.captain.did, manifestDigest: digestOf(Buffer.from('x')), manifest: {} } // prettier-ignore
  const { body } = await hold.call('io.atcr.hold.notifyManifest', { as: hold.accounts.captain, input })
  expect(body['error']).toBe('InvalidRequest')
})
