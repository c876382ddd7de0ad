import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { applyWrites, findRecord, listRecords } from '../../src/atproto/pds-records.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { countStars } from '../../src/appview/db/stars.ts'
import { starCollection, starRkey } from '../../src/protocol/lexicon/star-record.ts'
import { createAccount, type Account } from '../network/accounts.ts'
import { BrowserTwin, hiddenFields } from '../network/browser-twin.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'

/** Goal: what people change on their pages is in their own PDS, and counts at once. */

let network: TestNetwork
/** Bob's, signed in. */
let browser: BrowserTwin

beforeAll(async () => {
  network = await TestNetwork.create()
  const { alice, bob } = network.accounts
  await client(alice).pushImage('alice.test/app', imageOfFiles({ hello: 'world' }), 'v1')
  browser = new BrowserTwin(network.appview.url)
  await signIn(browser, bob)
  await network.settled()
})
afterAll(() => network[Symbol.asyncDispose]())
beforeEach(() => network.faults.clear())

const client = ({ appPassword, handle }: Account) =>
  new OciClient({ registryUrl: network.appview.url, username: handle, password: appPassword })
const target = () => ({ serviceUrl: network.pds.url, fetch })

async function recordsOf(did: Did, collection: string): Promise<{ rkey: string; value: unknown }[]> {
  const records = []
  for await (const { uri, value } of listRecords(target(), did, collection, 100)) {
    records.push({ rkey: uri.split('/').at(-1) ?? '', value })
  }
  return records
}

/** Sends a form with the token of a page that has one. */
async function post(path: string, fields: Record<string, string>) {
  const { csrf = '' } = hiddenFields((await browser.get('/settings')).body)
  return browser.post(path, { csrf, ...fields })
}

describe('stars', () => {
  const app = () => ({ ownerDid: network.accounts.alice.did, name: 'app' })
  const fields = () => ({ owner: app().ownerDid, repository: 'app', next: '/r/alice.test/app' })
  const count = () => countStars(network.appview.context.db, app())

  test('are one record each, however often they are given, and count before any event', async () => {
    const { bob } = network.accounts
    // No event reaches the index meanwhile.
    network.jetstream.pause()
    for (let times = 0; times < 2; times++) {
      const answer = await post('/stars/put', fields())
      expect([answer.status, answer.location]).toEqual([303, '/r/alice.test/app'])
    }
    expect(await count()).toBe(1)
    expect(await recordsOf(bob.did, starCollection)).toMatchObject([
      {
        rkey: starRkey(app().ownerDid, 'app'),
        value: { subject: `at://${app().ownerDid}/io.atcr.repo.page/app` },
      },
    ])
    expect((await browser.get('/stars')).body).toContain('/r/alice.test/app')
    await post('/stars/delete', fields())
    expect(await count()).toBe(0)
    expect(await recordsOf(bob.did, starCollection)).toEqual([])
    network.jetstream.resume()
    await network.settled()
    expect(await count()).toBe(0)
  })

  test('of other software are counted, not doubled, and taken back too', async () => {
    const { bob } = network.accounts
    const value = {
      $type: starCollection,
      subject: { did: app().ownerDid, repository: 'app' },
      createdAt: '2025-01-01T00:00:00Z',
    }
    const session = await network.appview.context.pdsSessions.session(bob.did)
    const write = { action: 'create', collection: starCollection, value } as const
    await applyWrites(
      session,
      ['3kaaaaaaaaa2a', '3kaaaaaaaaa2b'].map((rkey) => ({ ...write, rkey })),
    )
    await network.settled()
    expect(await count()).toBe(1)
    await post('/stars/put', fields())
    expect(await recordsOf(bob.did, starCollection)).toHaveLength(2)
    expect((await browser.get('/stars')).body.match(/href="\/r\/alice.test\/app"/g)).toHaveLength(1)
    await post('/stars/delete', fields())
    expect(await recordsOf(bob.did, starCollection)).toEqual([])
    expect(await count()).toBe(0)
  })

  test('are refused for what is not to be seen, without a form token, and lead nowhere else', async () => {
    const { bob } = network.accounts
    for (const wrong of [{ repository: 'nothing' }, { owner: 'alice.test' }, { repository: '../app' }]) {
      const answer = await post('/stars/put', { ...fields(), ...wrong })
      expect([answer.status, answer.body.includes('That did not work')]).toEqual([422, true])
    }
    expect((await browser.post('/stars/put', fields())).status).toBe(403)
    expect((await new BrowserTwin(network.appview.url).post('/stars/put', fields())).location).toMatch(
      /login/,
    )
    expect((await post('/stars/delete', { ...fields(), next: 'https://evil.example/' })).location).toBe(
      '/stars',
    )
    expect(await recordsOf(bob.did, starCollection)).toEqual([])
  })

  test('are not given while the PDS does not answer, and the page says so', async () => {
    network.faults.add({ kind: 'error', to: 'pds', path: '/xrpc/com.atproto.repo.applyWrites' })
    const answer = await post('/stars/put', fields())
    expect(answer.status).toBe(503)
    expect(await count()).toBe(0)
    expect(await findRecord(target(), network.accounts.bob.did, starCollection, starRkey(app().ownerDid, 'app'))).toBeUndefined() // prettier-ignore
  })
})

describe('a hold’s page', () => {
  const page = async (did: string, as = browser) => as.get(`/h/${did}`)

  test('tells who runs it, who may do what, how it is, and what rests there', async () => {
    await network.appview.context.holdHealth.checkDue()
    const { body, status } = await page(network.hold.did, new BrowserTwin(network.appview.url))
    expect(status).toBe(200)
    for (const part of [
      'open to everyone',
      'who asks is taken in',
      '>answers<',
      '/r/alice.test/app',
      'Sign in to join',
    ]) {
      expect(body).toContain(part)
    }
    // Bob joined when he signed in first.
    expect((await page(network.hold.did)).body).toContain('You are crew')
  })

  test('lets people join where the hold takes in everyone, as what they are there at once', async () => {
    const carol = await createAccount(network.pds.url, 'carol.test')
    const own = new BrowserTwin(network.appview.url)
    await signIn(own, carol)
    await network.appview.context.sailorSetups.idle()
    await network.hold.context.crew.remove(carol.did)
    await network.settled()
    await network.restartAppView()
    const { body } = await page(network.hold.did, own)
    expect(body).toContain('Join the crew')
    network.jetstream.pause()
    const answer = await own.post('/holds/join', hiddenFields(body))
    expect([answer.status, answer.location]).toEqual([
      303,
      `/h/${network.hold.did.replace('%', '%25')}?done=joined`,
    ])
    const after = (await own.get(answer.location)).body
    expect(after).toContain('You are crew of this hold now.')
    expect(after).not.toContain('Join the crew')
    network.jetstream.resume()
    expect(await network.hold.context.crew.find(carol.did)).toBeDefined()
  })

  test('helps where there is no such hold, and leads from its host', async () => {
    for (const name of [
      'did:web:localhost%3A1',
      'did:web:%2541',
      'did:web:nobody.invalid',
      'nonsense',
      '%00',
    ]) {
      const { body, status } = await page(name)
      expect([name, status]).toEqual([name, 404])
      expect(body).toContain('No such hold')
    }
    expect(await page('hold.example')).toMatchObject({ status: 302, location: '/h/did:web:hold.example' })
    expect((await post('/holds/join', { hold: 'did:web:localhost%3A1' })).status).toBe(503)
    expect((await post('/holds/join', { hold: '../x' })).status).toBe(422)
  })
})

describe('the hold for new pushes', () => {
  const profileOf = async () =>
    (await findRecord(target(), network.accounts.bob.did, 'io.atcr.sailor.profile', 'self'))?.value as Record<
      string,
      unknown
    >

  test('is written into the profile, whose other fields stay, and the next push obeys', async () => {
    const { bob } = network.accounts
    const session = await network.appview.context.pdsSessions.session(bob.did)
    const legacy = { ...(await profileOf()), defaultHold: network.hold.url, theirs: { kept: true } }
    const write = {
      action: 'update',
      collection: 'io.atcr.sailor.profile',
      rkey: 'self',
      value: legacy,
    } as const
    await applyWrites(session, [write])
    await network.settled()
    expect((await browser.get('/settings/storage')).body).toContain('you keep 0 B')
    network.jetstream.pause()
    expect((await post('/settings/storage/hold', { hold: 'none' })).location).toBe(
      '/settings/storage?done=none',
    )
    expect(await profileOf()).not.toHaveProperty('defaultHold')
    expect((await browser.get('/settings/storage')).body).toContain('You have chosen no hold')
    const image = imageOfFiles({ next: 'push' })
    await expect(client(bob).pushImage('bob.test/next', image, 'v1')).rejects.toThrow(
      /choose one in the settings/,
    )
    const { location } = await post('/settings/storage/hold', {
      hold: 'other',
      other: ` ${network.hold.did}`,
    })
    expect(location).toBe('/settings/storage?done=chosen')
    expect(await profileOf()).toMatchObject({ defaultHold: network.hold.did, theirs: { kept: true } })
    await client(bob).pushImage('bob.test/next', image, 'v1')
    await post('/settings/storage/untagged', { remove: 'yes' })
    expect(await profileOf()).toMatchObject({ defaultHold: network.hold.did, autoRemoveUntagged: true })
    network.jetstream.resume()
  })

  test('cannot be one where the account may not push, or that nobody finds', async () => {
    const before = await profileOf()
    for (const [other, status] of [
      ['nonsense', 422],
      ['did:web:localhost%3A1', 503],
      ['', 422],
    ] as const) {
      expect((await post('/settings/storage/hold', { hold: 'other', other })).status).toBe(status)
    }
    expect(await profileOf()).toEqual(before)
  })

  test('is shown while a hold does not answer; a session that is lost is told', async () => {
    network.faults.add({ kind: 'drop', to: 'hold', path: '/xrpc/io.atcr.hold.getQuota' })
    const { body, status } = await browser.get('/settings/storage')
    expect([status, body.includes('did not say what you keep there')]).toEqual([200, true])
    expect(body).not.toContain('sign in again')
    await network.appview.context.db.deleteFrom('oauth_sessions').execute()
    await network.appview.context.db.deleteFrom('app_password_sessions').execute()
    for (const path of ['/settings', '/settings/storage'])
      expect((await browser.get(path)).body).toContain('sign in again')
    const answer = await post('/settings/storage/untagged', {})
    expect([answer.status, answer.body.includes('Sign in once more')]).toEqual([403, true])
  })
})
