import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { applyWrites, findRecord, listRecords } from '../../src/atproto/pds-records.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { countStars } from '../../src/appview/db/stars.ts'
import { starCollection, starRkey } from '../../src/protocol/lexicon/star-record.ts'
import type { Account } from '../network/accounts.ts'
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
