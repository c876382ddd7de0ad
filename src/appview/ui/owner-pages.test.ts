import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { pagesFixture } from '../../../test/e2e/pages-fixture.ts'
import type { Did } from '../../atproto/syntax.ts'
import { putActorProfile } from '../db/actor-profiles.ts'
import { putHoldHealth } from '../db/hold-health.ts'
import { upsertHoldStats } from '../db/hold-stats.ts'
import { setAccountActive, upsertIdentity } from '../db/identities.ts'
import { upsertStar } from '../db/stars.ts'

const alice: Did = 'did:plc:alicealicealicealicealic'
const bob: Did = 'did:plc:bobbobbobbobbobbobbobbob'
const publicHold: Did = 'did:web:hold.example'

let fixture: Awaited<ReturnType<typeof pagesFixture>>
beforeAll(async () => {
  fixture = await pagesFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function get(path: string) {
  const response = await globalThis.fetch(fixture.url + path, { redirect: 'manual' })
  return { status: response.status, location: response.headers.get('location'), text: await response.text() }
}
/** Names of the listed repositories, in order. */
const listed = async (path: string) =>
  [...(await get(path)).text.matchAll(/href="\/r\/[^/]+\/([^"]+)"\s+data-entry/g)].map(([, name]) => name)

describe('an account’s page', () => {
  test('says who it is as it shows itself, every text a stranger’s', async () => {
    const profile = {
      displayName: 'Alice <b>\u202Eecila',
      description:
        'Builds things.\nhttps://alice.example/a?b=<c> (me), @bob.test <script>x</script>\njavascript:alert(1) mail@bob.test',
      avatarCid: 'bafkreipicture',
    }
    await putActorProfile(fixture.db, { did: alice, profile, fetchedAt: '2026-11-22T00:00:00.000Z' })
    const { text } = await get('/u/alice.test')
    for (const part of [
      '<h1 dir="auto">Alice &lt;b&gt;\ufffdecila</h1>',
      'data-copy="alice.test"',
      `data-copy="${alice}"`,
      `src="/avatar/${alice}/bafkreipicture"`,
      '<a href="https://alice.example/a?b=" rel="nofollow ugc noopener noreferrer"',
      '<a href="/u/bob.test">@bob.test</a>',
      '&lt;script&gt;',
      'mail@bob.test',
      'href="/h/did:web:hold.example"',
    ]) {
      expect(text).toContain(part)
    }
    expect(text).not.toMatch(/<script>x|href="javascript|<b>/)
    expect(text.match(/rel="nofollow/g)).toHaveLength(1)
  })

  test('orders, filters and counts its repositories, and adds up what they keep', async () => {
    const star = { ownerDid: alice, name: 'charts/hello' }
    await upsertStar(fixture.db, {
      sailorDid: bob,
      rkey: 'a',
      repository: star,
      createdAt: '2026-11-01T00:00:00.000Z',
    })
    const stats = (holdDid: Did, name: string, pullCount: number) =>
      upsertHoldStats(fixture.db, {
        holdDid,
        rkey: name,
        repository: { ownerDid: alice, name },
        pullCount,
        pushCount: 1,
        updatedAt: '2026-11-01T00:00:00.000Z',
      })
    await stats(publicHold, 'busy', 1200)
    await stats(publicHold, 'app', 34)
    // Anyone can say so.
    await stats('did:web:elsewhere.example', 'charts/hello', 1_000_000)
    expect(await listed('/u/alice.test')).toEqual(['app', 'charts/hello', 'busy'])
    expect(await listed('/u/alice.test?sort=name')).toEqual(['app', 'busy', 'charts/hello'])
    expect(await listed('/u/alice.test?sort=stars')).toEqual(['charts/hello', 'app', 'busy'])
    expect(await listed('/u/alice.test?sort=pulls')).toEqual(['busy', 'app', 'charts/hello'])
    expect(await listed('/u/alice.test?sort=nonsense&q=S')).toEqual(['charts/hello', 'busy'])
    for (const text of ['%25', '_', '%5C', "'"]) expect(await listed(`/u/alice.test?q=${text}`)).toEqual([])
    const { text } = await get('/u/alice.test?q=nothing')
    expect(text).toContain('No repository has “nothing” in its name')
    expect(text).toContain('1,234 pulls')
    expect(text).toMatch(/Repositories <span class="count">3<\/span>/)
    expect((await get('/u/alice.test?page=2')).status).toBe(404)
    expect(await listed(`/u/${bob}/stars`)).toEqual(['charts/hello'])
  })

  test('says how its holds are, as long as that is known', async () => {
    const health = { holdDid: publicHold, changedAt: '2026-11-22T07:00:00.000Z' }
    expect((await get('/u/alice.test')).text).toContain('not known')
    await putHoldHealth(fixture.db, {
      ...health,
      isUp: true,
      latencyMs: 4,
      checkedAt: '2026-11-22T09:50:00.000Z',
    })
    expect((await get('/u/alice.test')).text).toContain('>answers<')
    await putHoldHealth(fixture.db, {
      ...health,
      isUp: true,
      latencyMs: 4,
      checkedAt: '2026-11-22T09:20:00.000Z',
    })
    expect((await get('/u/alice.test')).text).not.toContain('>answers<')
    await putHoldHealth(fixture.db, {
      ...health,
      isUp: false,
      detail: 'no "answer"',
      checkedAt: '2026-11-22T09:50:00.000Z',
    })
    expect((await get('/u/alice.test')).text).toMatch(
      /no &quot;answer&quot;"\s*>away since <time[^>]*>3 hours ago/,
    )
  })

  test('is found under other spellings for good, under a former handle as long as nobody else has it', async () => {
    expect(await get('/u/ALICE.test/stars?page=1')).toMatchObject({
      status: 301,
      location: '/u/alice.test/stars?page=1',
    })
    expect(await get('/u/did-plc-alicealicealicealicealic')).toMatchObject({
      status: 301,
      location: `/u/${alice}`,
    })
    expect(await get(`/u/${alice}`)).toMatchObject({ status: 200 })

    const carol: Did = 'did:plc:carolcarolcarolcarolcaro'
    const name = (did: Did, handle: string, hour: number) =>
      upsertIdentity(fixture.db, { did, handle, resolvedAt: `2026-11-22T0${hour}:00:00.000Z` })
    await name(carol, 'carol.test', 1)
    await name(carol, 'caroline.test', 2)
    expect(await get('/u/carol.test/stars')).toMatchObject({
      status: 302,
      location: '/u/caroline.test/stars',
    })
    // Somebody else takes it, and drops it again: nobody can tell who is meant.
    const dan: Did = 'did:plc:dandandandandandandandan'
    await name(dan, 'carol.test', 3)
    expect(await get('/u/carol.test')).toMatchObject({ status: 200 })
    await name(dan, 'dan.test', 4)
    expect(await get('/u/carol.test')).toMatchObject({ status: 404 })
    await name(carol, 'carol.test', 5)
    expect(await get('/u/carol.test')).toMatchObject({ status: 200 })
    expect(await get('/u/caroline.test')).toMatchObject({ status: 302, location: '/u/carol.test' })
    await setAccountActive(fixture.db, { did: carol, isActive: false, at: '2026-11-22T06:00:00.000Z' })
    expect(await get('/u/caroline.test')).toMatchObject({ status: 404 })
  })

  test('shows what rests in private holds to those who may read there, marked', async () => {
    expect((await get('/u/alice.test')).text).not.toContain('secret')
    const text = await fixture.pageAs(alice, '/u/alice.test')
    expect(text).toMatch(/>secret<\/a\s*>\s*<span class="chip"[^>]*>private</)
    expect(text.match(/>private</g)).toHaveLength(1)
    expect(text).toMatch(/Repositories <span class="count">4<\/span>/)
  })
})
