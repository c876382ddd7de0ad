import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { personalTables } from '../../src/appview/db/personal-data.ts'
import { ownCollections } from '../../src/appview/services/oauth-scope.ts'
import { listRecords } from '../../src/atproto/pds-records.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { createAccount, type Account } from '../network/accounts.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'

/** Goal: an account can take along all that is kept about it, and have it deleted, and nobody else notices. */

let network: TestNetwork
let holdDid: Did
beforeAll(async () => {
  network = await TestNetwork.create()
  holdDid = network.hold.did
})
afterAll(() => network[Symbol.asyncDispose]())

const page = '/settings/data'
const db = () => network.appview.context.db

const client = (account?: Account) =>
  new OciClient({
    registryUrl: network.appview.url,
    ...(account && { username: account.handle, password: account.appPassword }),
  })

/** Signed in by OAuth, with an image by app password, a star, and a row in each table that records do not fill. */
async function liveHere(account: Account, other: Account): Promise<BrowserTwin> {
  const browser = new BrowserTwin(network.appview.url)
  await signIn(browser, account)
  await network.appview.context.sailorSetups.idle()
  const registry = client(account)
  await registry.pushImage(`${account.handle}/app`, imageOfFiles({ hello: account.handle }), 'v1')
  await registry.pushImage(`${account.handle}/app`, imageOfFiles({ hello: `${account.handle} 2` }), 'v2')
  await network.appview.context.ownRecords.edit(
    account.did,
    { collection: 'io.atcr.sailor.star', rkey: '3kaaaaaaaaaaa' },
    () => ({
      $type: 'io.atcr.sailor.star',
      subject: `at://${other.did}/io.atcr.repo.page/app`,
      createdAt: '2026-11-01T00:00:00Z',
    }),
  )
  const at = '2026-11-01T00:00:00Z'
  await network.appview.context.ownRecords.edit(
    account.did,
    { collection: 'io.atcr.repo.page', rkey: 'app' },
    () => ({
      $type: 'io.atcr.repo.page',
      repository: 'app',
      description: 'An app.',
      createdAt: at,
      updatedAt: at,
    }),
  )
  await network.settled()
  await fillTables(account.did)
  return browser
}

async function fillTables(did: Did): Promise<void> {
  const at = '2026-11-01T00:00:00.000Z'
  const id = (what: string) => `${what} of ${did}`
  const hold = holdDid
  await db().insertInto('devices').values({ id: id('device'), did, handle: null, name: 'laptop', secret_hash: id('secret'), created_at: at, used_at: null, used_address: null }).execute() // prettier-ignore
  await db().insertInto('device_grants').values({ device_code_hash: id('code'), user_code_hash: id('user'), status: 'redeemed', device_name: 'x', user_agent: 'x', address: 'x', did, interval_seconds: 5, polled_at: null, created_at: at, expires_at: at }).execute() // prettier-ignore
  await db().insertInto('refresh_tokens').values({ token_hash: id('token'), did, device_id: id('device'), password_hash: null, client_id: 'x', created_at: at, used_at: at, expires_at: '2099-01-01T00:00:00.000Z' }).execute() // prettier-ignore
  await db().insertInto('webhooks').values({ id: id('hook'), owner_did: did, sealed: 'v1.secret', host: 'x', form: 'json', triggers: 8, repository: null, is_enabled: 0, disabled_reason: null, created_at: at }).execute() // prettier-ignore
  await db().insertInto('webhook_deliveries').values({ id: id('delivery'), webhook_id: id('hook'), trigger: 'push', payload: '{}', status: 'delivered', attempts: 1, next_at: null, response_status: 200, response_text: null, created_at: at, finished_at: at }).execute() // prettier-ignore
  await db().insertInto('uploads').values({ id: id('upload'), account_did: did, owner_did: did, repository: 'app', hold_did: hold, hold_upload_id: 'x', mode: 'relay', offset_bytes: 0, digest_algorithm: 'sha256', tail: null, is_hash_whole: 0, created_at: at, expires_at: '2099-01-01T00:00:00.000Z' }).execute() // prettier-ignore
  await db().insertInto('upload_parts').values({ upload_id: id('upload'), part_number: 1, etag: 'x', size_bytes: 1 }).execute() // prettier-ignore
  // The network settles when there are no more of them.
  if (did === network.accounts.bob.did) await db().insertInto('hold_notifications').values({ id: id('notice'), hold_did: hold, account_did: did, payload: '{}', attempts: 0, next_at: '2099-01-01T00:00:00.000Z', created_at: at }).execute() // prettier-ignore
  await db().insertInto('pull_days').values({ owner_did: did, repository: 'app', day: '2026-11-01', pull_count: 3 }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('untagged_manifests').values({ owner_did: did, digest: 'sha256:x' as never, due_at: '2099-01-01T00:00:00.000Z', attempts: 0 }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('former_handles').values({ handle: 'old.test', did, lost_at: at }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('backfill_repos').values({ did, status: 'done', attempts: 1, next_at: null, record_count: 1, updated_at: at }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('repo_revs').values({ did, read_rev: '3k', forgotten_rev: null }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('hold_stats').values({ hold_did: hold, rkey: id('stats'), owner_did: did, repository: 'app', pull_count: 0, push_count: 0, last_pull: null, last_push: null, updated_at: at }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('scans').values({ hold_did: hold, rkey: id('scan'), owner_did: did, digest: 'sha256:x' as never, repository: 'app', critical: 0, high: 0, medium: 0, low: 0, total: 0, scanner_version: 'x', scanned_at: at, sbom_cid: null, report_cid: null }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
  await db().insertInto('actor_profiles').values({ did, display_name: 'x', description: null, avatar_cid: null, fetched_at: at }).onConflict((conflict) => conflict.doNothing()).execute() // prettier-ignore
}

/** Everywhere that a text stands in the database, by reading all of it: tables that are added later, too. */
async function findEverywhere(text: string): Promise<string[]> {
  const tables = (await db().introspection.getTables()).filter((table) => !table.name.startsWith('kysely_'))
  const found: string[] = []
  for (const { columns, name } of tables) {
    for (const { dataType, name: column } of columns) {
      if (dataType.toLowerCase() !== 'text') continue
      const query = sql<{ count: number }>`select count(*) as count from ${sql.table(name)} where ${sql.ref(column)} like ${`%${text}%`}` // prettier-ignore
      if ((await query.execute(db())).rows[0]?.count !== 0) found.push(`${name}.${column}`)
    }
  }
  return found.sort()
}

async function rowsOf(did: Did): Promise<unknown> {
  const names = ['manifests', 'tags', 'repositories', 'stars', 'oauth_sessions', 'app_password_sessions', 'devices', 'webhooks'] as const // prettier-ignore
  const all: unknown[] = []
  for (const name of names) {
    const rows = (await db().selectFrom(name).selectAll().execute()) as Record<string, unknown>[]
    all.push([name, rows.filter((row) => (row['sailor_did'] ?? row['owner_did'] ?? row['did']) === did)])
  }
  return all
}

const recordsOf = async (did: Did) => {
  const target = { serviceUrl: network.pds.url, fetch }
  const lists = ownCollections.map((collection) =>
    Array.fromAsync(listRecords(target, did, collection, 1000)),
  )
  return (await Promise.all(lists)).flat()
}

/** Records of the hold's own data repo that name an account. */
const holdRecordsOf = async (did: Did) => {
  const target = { serviceUrl: network.hold.url, fetch }
  const lists = ['crew', 'layer', 'stats'].map((name) =>
    Array.fromAsync(listRecords(target, holdDid, `io.atcr.hold.${name}`, 1000)),
  )
  return (await Promise.all(lists)).flat().filter(({ value }) => JSON.stringify(value).includes(did))
}

const idle = () => network.appview.context.dataDeletionRuns.idle()
/** Time passes, as far as deletions can tell, and what is due is done. */
async function pass(): Promise<void> {
  await db().updateTable('data_deletions').set({ next_at: '2026-01-01T00:00:00.000Z' }).where('status', '!=', 'done').execute() // prettier-ignore
  network.appview.context.dataDeletionRuns.wake()
  await idle()
}

interface Export {
  did: string
  records: { pds: string; collections: string[] }
  appview: Record<string, Record<string, unknown>[]>
  holds: Record<string, { data?: Record<string, unknown[]>; error?: string }>
}

const exported = async (browser: BrowserTwin) => {
  const answer = await browser.submit(page, `${page}/export`, {})
  expect(answer.status).toBe(200)
  expect(answer.headers['content-disposition']).toMatch(/^attachment; filename="atcr-[\w.-]+\.json"$/)
  return { text: answer.body, data: JSON.parse(answer.body) as Export }
}

test('every table that names an account is one that exports and deletions know', async () => {
  const tables = await db().introspection.getTables()
  const naming = tables.filter(({ columns }) => columns.some(({ name }) => /(?:^|_)did$/.test(name)))
  const considered = [
    ...personalTables,
    // Of holds; of deletions under way; what searches follow by themselves.
    'holds',
    'hold_health',
    'config_bytes',
    'data_deletions',
    'search_changes',
    'search_documents',
  ]
  expect(naming.map(({ name }) => name).filter((name) => !considered.includes(name))).toEqual([])
})

test('an account takes along all that is kept about it, here and at its hold, but no secrets', async () => {
  const { alice, bob } = network.accounts
  await liveHere(alice, bob)
  const browser = await liveHere(bob, alice)
  const { data, text } = await exported(browser)
  expect(data).toMatchObject({ did: bob.did, handle: 'bob.test' })
  expect(data.records.collections).toContain(`at://${bob.did}/io.atcr.manifest`)
  const { appview } = data
  for (const table of personalTables) expect([table, appview[table]?.length ?? 0]).not.toEqual([table, 0])
  expect(appview['tags']?.map((row) => row['tag'])).toEqual(['v1', 'v2'])
  expect(appview['stars']).toMatchObject([{ owner_did: alice.did, repository: 'app' }])
  const hold = data.holds[holdDid]?.data
  expect(hold?.['crew']).toHaveLength(1)
  expect(JSON.stringify(hold?.['layers'])).toContain(bob.did)
  expect(hold?.['manifests']).toHaveLength(2)
  const secrets = await db().selectFrom('app_password_sessions').select(['sealed', 'password_hash']).where('did', '=', bob.did).executeTakeFirstOrThrow() // prettier-ignore
  const { token_hash: token, form_secret: form } = await db().selectFrom('web_sessions').selectAll().where('did', '=', bob.did).executeTakeFirstOrThrow() // prettier-ignore
  for (const secret of [
    secrets.sealed,
    secrets.password_hash,
    token,
    form,
    'v1.secret',
    `secret of ${bob.did}`,
  ])
    expect(text).not.toContain(secret)
  // Of alice only what bob starred.
  const rows = Object.entries(appview).filter(([table]) => table !== 'stars')
  expect(JSON.stringify(rows.map(([, ofTable]) => ofTable))).not.toContain(alice.did)
})

test('a hold that is down keeps nobody from the rest of an export', async () => {
  const browser = new BrowserTwin(network.appview.url)
  await signIn(browser, network.accounts.bob)
  await network.stopHold()
  const { data } = await exported(browser)
  expect(data.holds[holdDid]).toEqual({ error: expect.stringContaining('did not answer') })
  expect(data.appview['tags']).toHaveLength(2)
  await network.restartHold()
})

test('a wrong handle deletes nothing, nor does a form from elsewhere', async () => {
  const { bob } = network.accounts
  const browser = new BrowserTwin(network.appview.url)
  await signIn(browser, bob)
  const before = await rowsOf(bob.did)
  const wrong = await browser.submit(page, `${page}/delete`, { handle: 'alice.test', records: 'yes' })
  expect([wrong.status, wrong.body.includes('That is not bob.test')]).toEqual([422, true])
  expect(wrong.body).toMatch(/name="records"[^>]*checked/)
  const foreign = await browser.post(`${page}/delete`, { handle: 'bob.test' })
  expect(foreign.status).toBe(403)
  const stranger = await new BrowserTwin(network.appview.url).post(`${page}/delete`, { handle: 'bob.test' })
  expect(stranger.location).toContain('/auth/oauth/login')
  expect(await rowsOf(bob.did)).toEqual(before)
})

test('who has no access left to the data server is asked to sign in before anything is deleted', async () => {
  const carol = await createAccount(network.pds.url, 'carol.test')
  const browser = new BrowserTwin(network.appview.url)
  await signIn(browser, carol)
  await network.appview.context.sailorSetups.idle()
  await db().deleteFrom('oauth_sessions').where('did', '=', carol.did).execute()
  const answer = await browser.submit(page, `${page}/delete`, { handle: 'carol.test' })
  expect([answer.status, answer.body.includes('Sign in once more')]).toEqual([403, true])
  expect((await browser.get(page)).status).toBe(200)
})

test('all is deleted: here, at the hold, in the PDS; pulls find nothing; others are as they were', async () => {
  const { alice, bob } = network.accounts
  const ofAlice = await rowsOf(alice.did)
  const before = {
    records: (await recordsOf(alice.did)).length,
    atHold: (await holdRecordsOf(alice.did)).length,
  }
  expect((await client().request('GET', '/v2/bob.test/app/manifests/v1')).status).toBe(200)
  const browser = new BrowserTwin(network.appview.url)
  await signIn(browser, bob)
  const begun = await browser.submit(page, `${page}/delete`, { handle: '@Bob.test', records: 'yes' })
  expect([begun.status, begun.location]).toEqual([303, expect.stringMatching(/^\/deletions\/[\w-]{43}$/)])
  // The browser is signed out, and may watch all the same.
  expect((await browser.get('/settings')).location).toContain('/auth/oauth/login')
  await idle()
  const told = await new BrowserTwin(network.appview.url).get(begun.location)
  expect(told.body).toContain('Your data was deleted')
  expect(told.body).not.toMatch(/not done|bob\.test|did:plc/)
  expect(told.headers['cache-control']).toBe('no-store')
  expect(await recordsOf(bob.did)).toEqual([])
  expect(await holdRecordsOf(bob.did)).toEqual([])
  // The page keeps to the app password's session, too: it was given back.
  expect(network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.server.deleteSession' })).toBeGreaterThan(
    0,
  )

  await network.settled()
  await pass()
  await network.settled()
  // That alice has a star on what was there is hers. What search is to look at anew it forgets when it has.
  await vi.waitFor(async () => expect(await findEverywhere(bob.did)).toEqual(['stars.owner_did']), 20_000)
  for (const reference of ['v1', 'v2'])
    expect((await client().request('GET', `/v2/bob.test/app/manifests/${reference}`)).status).toBe(404)

  const isOfBob = (row: unknown) => JSON.stringify(row).includes(bob.did)
  expect(isOfBob(ofAlice)).toBe(true)
  expect(await rowsOf(alice.did)).toEqual(ofAlice)
  expect({ records: (await recordsOf(alice.did)).length, atHold: (await holdRecordsOf(alice.did)).length }).toEqual(before) // prettier-ignore
  expect((await client().request('GET', '/v2/alice.test/app/manifests/v1')).status).toBe(200)
})

test('one that was cut off goes on after a restart, when the hold is back; records stay where they were to', async () => {
  const { alice, bob } = network.accounts
  const browser = await liveHere(bob, alice)
  const recordCount = (await recordsOf(bob.did)).length
  await network.stopHold()
  const { location } = await browser.submit(page, `${page}/delete`, { handle: 'bob.test' })
  await idle()
  const waiting = await browser.get(location)
  expect(waiting.body).toContain('Deleting your data')
  expect(waiting.body).toMatch(/did not answer\. It is asked again/)
  expect(waiting.headers['refresh']).toBe('4')
  // What gave access is gone already.
  expect(await db().selectFrom('devices').selectAll().where('did', '=', bob.did).execute()).toEqual([])
  const again = new BrowserTwin(network.appview.url)
  await network.restartAppView()
  await network.restartHold()
  await pass()
  const done = await again.get(location)
  expect(done.body).toContain('Your data was deleted')
  expect(done.body).not.toContain('not done')
  expect(await holdRecordsOf(bob.did)).toEqual([])
  expect(await recordsOf(bob.did)).toHaveLength(recordCount)
  expect(await db().selectFrom('oauth_sessions').selectAll().where('did', '=', bob.did).execute()).toEqual([])
  expect(await db().selectFrom('tags').select('tag').where('owner_did', '=', bob.did).execute()).toHaveLength(
    2,
  )
})

test('what cannot be done is said, with how to try again', async () => {
  const { alice, bob } = network.accounts
  const browser = await liveHere(bob, alice)
  await network.stopHold()
  const { location } = await browser.submit(page, `${page}/delete`, { handle: 'bob.test' })
  await idle()
  for (let count = 0; count < 5; count++) await pass()
  const told = await browser.get(location)
  expect(told.body).toContain('Not all of your data was deleted')
  expect(told.body).toMatch(/not done<\/span>/)
  expect(told.headers['refresh']).toBeUndefined()
  expect(told.body).not.toContain(bob.did)
  await pass()
  expect((await findEverywhere(bob.did)).filter((place) => place.startsWith('data_deletions'))).toEqual([])
  await network.restartHold()
})
