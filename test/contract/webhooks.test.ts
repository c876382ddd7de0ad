import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'

import { deleteAccountRows } from '../../src/appview/db/accounts.ts'
import { putCaptain } from '../../src/appview/db/holds.ts'
import { upsertIdentity } from '../../src/appview/db/identities.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { WebhookDeliveries, webhookSignature } from '../../src/appview/jobs/webhook-deliveries.ts'
import type { WebhookAnswer, WebhookSender } from '../../src/appview/ports/webhook-sender.ts'
import { handlerFor } from '../../src/appview/read-model/record-handlers.ts'
import { Sealing } from '../../src/appview/services/sealing.ts'
import { WebhookNews } from '../../src/appview/services/webhook-news.ts'
import { waitingCountMax } from '../../src/appview/services/webhook-queue.ts'
import { webhookCountMax, Webhooks } from '../../src/appview/services/webhooks.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { randomId, sha256Hex } from '../../src/lib/ids.ts'
import { logger } from '../../src/lib/log.ts'
import { parseDigest, type Digest } from '../../src/protocol/oci/digest.ts'
import { parseTag } from '../../src/protocol/oci/reference.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

/** Goal: whoever wants to hear of something is told of it once, in time, on either database and by any number of instances. */

const alice: Did = 'did:plc:alice'
const bob: Did = 'did:plc:bob'
const hold: Did = 'did:web:hold.example'
const foreignHold: Did = 'did:web:elsewhere.example'
const baseUrl = 'https://registry.example'
const mediaType = 'application/vnd.oci.image.manifest.v1+json'
const digestOf = (text: string): Digest => parseDigest(`sha256:${sha256Hex(text)}`)

/** Answers what it is told to, and keeps what it was sent. */
class SenderTwin implements WebhookSender {
  readonly sent: { url: string; body: string; headers: Readonly<Record<string, string>> }[] = []
  answer: (url: string) => WebhookAnswer | Promise<WebhookAnswer> = () => ({ isAnswered: true, status: 204, text: '' }) // prettier-ignore

  async send(request: SenderTwin['sent'][number], signal: AbortSignal): Promise<WebhookAnswer> {
    this.sent.push(request)
    const answer = await this.answer(request.url)
    signal.throwIfAborted()
    return answer
  }
}

const status =
  (code: number, more: { retryAfterSeconds?: number } = {}) =>
  () =>
    ({ isAnswered: true, status: code, text: `status ${code}`, ...more }) as const

describe.each(['sqlite', 'postgres'] as const)('webhooks on %s', (dialect) => {
  let postgres: Postgres | undefined
  let folder: string
  let db: Database<AppViewTables>
  let other: Database<AppViewTables>
  let sender: SenderTwin
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const now = () => new Date(nowMs)
  const sealing = new Sealing(Buffer.alloc(32, 7))
  const webhooks = () => new Webhooks({ db, sealing, allowsPrivate: false, baseUrl, now })
  const news = () => new WebhookNews({ baseUrl, onNews: () => undefined, now })
  const job = (database = db) =>
    new WebhookDeliveries({ db: database, sender, sealing, log: logger('test'), now })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-webhooks-'))
    postgres = dialect === 'postgres' ? await startPostgres() : undefined
    const location =
      postgres === undefined ? { path: join(folder, 'ui.db') } : { url: postgres.createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
    other = await openDatabase<AppViewTables>(location, migrations)
  })
  afterAll(async () => {
    await db?.destroy()
    await other?.destroy()
    await postgres?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  beforeEach(async () => {
    sender = new SenderTwin()
    nowMs += 86_400_000
    for (const table of [
      'webhooks',
      'webhook_deliveries',
      'scans',
      'manifests',
      'manifest_repositories',
      'tags',
      'repositories',
      'record_revs',
    ] as const)
      // prettier-ignore
      await db.deleteFrom(table).execute()
    await upsertIdentity(db, { did: alice, handle: 'alice.test', resolvedAt: now().toISOString() })
    await putCaptain(db, { did: hold, captain: { ownerDid: alice, isPublic: true, allowAllCrew: true }, updatedAt: now().toISOString() }) // prettier-ignore
  })

  async function add(
    more: { triggers?: string[]; repository?: string; url?: string; did?: Did } = {},
  ): Promise<{ id: string; secret: string }> {
    const { triggers = ['push'], repository = '', url = 'https://ci.example.com/hook', did = alice } = more
    const made = await webhooks().create(did, { id: randomId(), url, triggers, repository })
    if (!('form' in made)) throw new Error(JSON.stringify(made))
    return { id: made.id, secret: made.secret ?? '' }
  }

  const push = (tag = 'latest', more: { repository?: string; ownerDid?: Did } = {}) =>
    db.transaction().execute(
      (tx) =>
      news().write(tx, { ownerDid: alice, repository: 'app', tag: parseTag(tag), digest: digestOf(tag), mediaType, holdDid: hold, pusherDid: alice, at: now(), ...more }), // prettier-ignore
    )

  /** A record as the event stream brings it, applied as the indexer does. */
  function event(did: Did, collection: string, rkey: string, record: object, rev = tidOf(nowMs)) {
    const put = { did, collection, rkey, rev, record: { $type: collection, ...record } }
    const prepared = handlerFor(collection)?.put(put)
    if (prepared === undefined) throw new Error(collection)
    return db.transaction().execute((tx) => news().applyRecord(tx, put, () => prepared.apply(tx)))
  }

  const manifest = (name: string, did = alice, holdDid = hold) => {
    const digest = digestOf(name)
    const descriptor = { mediaType, digest, size: 1 }
    return event(did, 'io.atcr.manifest', sha256Hex(name), { repository: 'app', digest, mediaType, schemaVersion: 2, holdDid, createdAt: now().toISOString(), config: descriptor, layers: [] }) // prettier-ignore
  }
  const tag = (name: string, digest: Digest, more: { rev?: string; updatedAt?: string | undefined } = {}) => {
    const { updatedAt = now().toISOString() } = more
    const record = { repository: 'app', tag: name, manifest: `at://${alice}/io.atcr.manifest/${digest.slice(7)}`, createdAt: updatedAt, updatedAt } // prettier-ignore
    return event(alice, 'io.atcr.tag', `app_${name}`, record, more.rev)
  }
  const scan = (name: string, critical: number, more: { holdDid?: Did; rev?: string } = {}) =>
    event(more.holdDid ?? hold, 'io.atcr.hold.scan', sha256Hex(name), { manifest: `at://${alice}/io.atcr.manifest/${sha256Hex(name)}`, repository: 'app', userDid: alice, critical, high: 1, medium: 2, low: 3, total: critical + 6, scannerVersion: 'trivy 1', scannedAt: now().toISOString() }, more.rev) // prettier-ignore

  const rows = () => db.selectFrom('webhook_deliveries').selectAll().orderBy('created_at').execute()
  const triggersTold = async () => (await rows()).map((row) => row.trigger).toSorted()

  /** One look at the queue, and all that follows. */
  async function deliver(): Promise<void> {
    await using deliveries = job()
    deliveries.start()
    deliveries.wake()
    await deliveries.idle()
  }

  test('a push is told to those who want pushes of that repository', async () => {
    const all = await add()
    const one = await add({ repository: 'app' })
    await add({ repository: 'other' })
    await add({ triggers: ['scan:all', 'scan:first', 'scan:changed'] })
    await add({ did: bob })
    const disabled = await add()
    await webhooks().setEnabled(alice, disabled.id, false)
    await push()
    expect((await rows()).map((row) => row.webhook_id).toSorted()).toEqual([all.id, one.id].toSorted())
    await push('untold', { repository: 'third' })
    expect(await rows()).toHaveLength(3)
    await deliver()
    expect(sender.sent).toHaveLength(3)
    const [{ body, headers } = { body: '', headers: {} }] = sender.sent
    expect([webhookSignature(all.secret, body), webhookSignature(one.secret, body)]).toContain(
      (headers as Record<string, string>)['x-atcr-signature-256'],
    )
    expect((await rows()).every((row) => row.status === 'delivered' && row.attempts === 1)).toBe(true)
  })

  test('a push and its own event are one message; one through another registry is told by its event', async () => {
    await add()
    await manifest('latest')
    await push()
    expect(await tag('latest', digestOf('latest'))).toBe(true)
    expect(await rows()).toHaveLength(1)
    nowMs += 1000
    await tag('elsewhere', digestOf('latest'))
    const told = (await rows()).map((row) => JSON.parse(row.payload) as Record<string, unknown>)
    expect(told).toHaveLength(2)
    expect(told[1]).toMatchObject({
      push_data: { tag: 'elsewhere', pusher: 'alice.test', pusher_did: alice },
      repository: { media_type: mediaType },
      hold: { did: hold, endpoint: 'https://hold.example' },
    })
  })

  test('what is replayed, old, or before the webhook is not told', async () => {
    const before = tidOf(nowMs - 120_000)
    await add()
    await manifest('latest')
    await tag('before', digestOf('latest'), { rev: before })
    await tag('yesterday', digestOf('latest'), { rev: tidOf(nowMs - 25 * 3_600_000) })
    const rev = tidOf(nowMs)
    await tag('once', digestOf('latest'), { rev })
    expect(await tag('once', digestOf('latest'), { rev })).toBe(false)
    expect(await rows()).toHaveLength(1)
  })

  test('a tag without times in its record that goes back and forth is told each time', async () => {
    await add()
    for (const name of ['one', 'two', 'one']) {
      nowMs += 5
      await tag('latest', digestOf(name), { updatedAt: '1970-01-01T00:00:00.000Z' })
    }
    expect(await rows()).toHaveLength(3)
  })

  test('scans are told as first, changed, or any, by what each webhook wants', async () => {
    await manifest('image')
    const wanting = [['scan:first'], ['scan:changed'], ['scan:all'], ['scan:first', 'scan:all', 'scan:changed', 'push']] // prettier-ignore
    for (const triggers of wanting) await add({ triggers })
    await scan('image', 0)
    expect(await triggersTold()).toEqual(['scan:all', 'scan:first', 'scan:first'])
    nowMs += 1000
    await scan('image', 0)
    expect((await triggersTold()).slice(0, 3)).toEqual(['scan:all', 'scan:all', 'scan:all'])
    await db.deleteFrom('webhook_deliveries').execute()
    nowMs += 1000
    await scan('image', 2)
    expect(await triggersTold()).toEqual(['scan:all', 'scan:changed', 'scan:changed'])
    const told = JSON.parse((await rows())[0]?.payload ?? '') as Record<string, unknown>
    expect(told).toMatchObject({
      scan_data: { digest: digestOf('image'), critical: 2, total: 8, previous: { critical: 0, total: 6 } },
      repository: { repo_name: 'alice.test/app', media_type: mediaType },
      hold: { did: hold },
    })
  })

  test('scans of holds that have no say, replayed ones and old ones are not told', async () => {
    await manifest('image')
    await add({ triggers: ['scan:all', 'scan:first'] })
    await scan('image', 1, { holdDid: foreignHold })
    await scan('unknown image', 1)
    await scan('image', 1, { rev: tidOf(nowMs - 25 * 3_600_000) })
    expect(await rows()).toEqual([])
    const rev = tidOf(nowMs)
    await scan('image', 1, { rev })
    await scan('image', 1, { rev })
    expect(await triggersTold()).toEqual(['scan:all'])
  })

  test('attempts come at once, after 30 s, 2 min and 8 min; then it has failed', async () => {
    await add()
    sender.answer = status(500)
    await push()
    await deliver()
    for (const [index, seconds] of [30, 120, 480].entries()) {
      nowMs += seconds * 1000 - 1
      await deliver()
      expect(sender.sent).toHaveLength(index + 1)
      nowMs += 1
      await deliver()
      expect(sender.sent).toHaveLength(index + 2)
    }
    expect(await rows()).toMatchObject([{ status: 'failed', attempts: 4, next_at: null, response_status: 500, response_text: 'status 500' }]) // prettier-ignore
    nowMs += 86_400_000
    await deliver()
    expect(sender.sent).toHaveLength(4)
    // Every attempt is the same message.
    expect(new Set(sender.sent.map(({ body, headers }) => body + headers['x-atcr-delivery'])).size).toBe(1)
  })

  test('more patience is had when it is asked for, within bounds', async () => {
    await add()
    await push()
    for (const [asked, waited] of [
      [5, 30],
      [600, 600],
      [1_000_000, 3600],
    ] as const) {
      sender.answer = status(429, { retryAfterSeconds: asked })
      const before = sender.sent.length
      await deliver()
      expect(sender.sent).toHaveLength(before + 1)
      const [row] = await rows()
      expect(Date.parse(row?.next_at ?? '') - nowMs).toBe(waited * 1000)
      nowMs += waited * 1000
    }
  })

  test('410 disables the webhook and gives up what waits for it; one that cannot be reached is tried again', async () => {
    const gone = await add()
    sender.answer = () => ({ isAnswered: false, reason: 'It could not be reached.' })
    await push('one')
    await push('two')
    await deliver()
    expect((await rows()).map((row) => [row.status, row.response_status, row.response_text])).toEqual([
      ['waiting', null, 'It could not be reached.'],
      ['waiting', null, 'It could not be reached.'],
    ])
    await push('three')
    sender.answer = status(410)
    await deliver()
    expect((await rows()).map((row) => row.status)).toEqual(['failed', 'failed', 'failed'])
    expect(await webhooks().find(alice, gone.id)).toMatchObject({ webhook: { isEnabled: false, disabledReason: expect.stringContaining('410') as string } }) // prettier-ignore
    await push('four')
    expect(await rows()).toHaveLength(3)
  })

  test('two instances make each attempt once', async () => {
    await add()
    await add({ url: 'https://other.example.com/hook' })
    for (let count = 0; count < 30; count++) await push(`t${count}`)
    await using one = job()
    await using two = job(other)
    for (const deliveries of [one, two]) deliveries.start()
    for (const deliveries of [one, two]) deliveries.wake()
    await one.idle()
    await two.idle()
    await one.idle()
    expect(sender.sent).toHaveLength(60)
    expect(new Set(sender.sent.map(({ headers }) => headers['x-atcr-delivery'])).size).toBe(60)
    expect((await rows()).every((row) => row.status === 'delivered')).toBe(true)
  })

  test('an attempt of an instance that died is made again; one that was stopped gives it back', async () => {
    await add()
    await push()
    const { promise: silence, resolve: speak } = Promise.withResolvers<WebhookAnswer>()
    sender.answer = () => silence
    const stopped = job()
    stopped.start()
    while (sender.sent.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const stop = stopped[Symbol.asyncDispose]()
    speak({ isAnswered: true, status: 204, text: '' })
    await stop
    expect(await rows()).toMatchObject([{ status: 'waiting', attempts: 0, next_at: now().toISOString() }])

    // As kill -9 leaves it: begun, and nothing came of it.
    await db.updateTable('webhook_deliveries').set({ attempts: 1, next_at: new Date(nowMs + 60_000).toISOString() }).execute() // prettier-ignore
    sender.answer = status(200)
    await deliver()
    expect(sender.sent).toHaveLength(1)
    nowMs += 60_000
    await deliver()
    expect(await rows()).toMatchObject([{ status: 'delivered', attempts: 2 }])
  })

  test.each([
    { hosts: ['a'], most: 2 },
    { hosts: ['a', 'b', 'c', 'd', 'e'], most: 4 },
  ])('one host, and one account, have so many attempts at once: $most', async ({ hosts, most }) => {
    for (const host of hosts) await add({ url: `https://${host}.example.com/` })
    for (let count = 0; count < 4; count++) await push(`t${count}`)
    const { promise: silence, resolve: speak } = Promise.withResolvers<WebhookAnswer>()
    sender.answer = () => silence
    await using deliveries = job()
    deliveries.start()
    while (sender.sent.length < most) await new Promise((resolve) => setImmediate(resolve))
    deliveries.wake()
    for (let count = 0; count < 5; count++) await rows()
    expect(sender.sent).toHaveLength(most)
    speak({ isAnswered: true, status: 200, text: '' })
    await deliveries.idle()
    expect(sender.sent).toHaveLength(4 * hosts.length)
  })

  test('what waits for one webhook is bounded, and the log says so', async () => {
    const { id } = await add()
    const row = { webhook_id: id, trigger: 'push', payload: '{}', status: 'waiting', attempts: 0, next_at: '2100', response_status: null, response_text: null, created_at: '2026', finished_at: null } as const // prettier-ignore
    await db.insertInto('webhook_deliveries').values(Array.from({ length: waitingCountMax }, (_, index) => ({ ...row, id: `w${index}` }))).execute() // prettier-ignore
    await push('too-many')
    const found = await webhooks().find(alice, id)
    expect(found?.deliveries[0]).toMatchObject({ status: 'failed', responseText: expect.stringContaining('500') as string }) // prettier-ignore
  })

  test('deliveries are kept 30 days, and a hundred of each webhook; what waits stays', async () => {
    const [one, two] = [await add(), await add({ repository: 'app' })]
    for (let count = 0; count < 105; count++) {
      nowMs += 1000
      await push(`t${count}`, { repository: count < 2 ? 'other' : 'app' })
    }
    await db.updateTable('webhook_deliveries').set({ status: 'delivered', finished_at: now().toISOString(), next_at: null }).where('id', 'in', (eb) => eb.selectFrom('webhook_deliveries').select('id').where('payload', 'not like', '%"tag":"t104"%')).execute() // prettier-ignore
    const counts = async () => [one, two].map(({ id }) => id).map(async (id) => (await rows()).filter((row) => row.webhook_id === id).length) // prettier-ignore
    await job().sweep()
    expect(await Promise.all(await counts())).toEqual([101, 101])
    nowMs += 31 * 86_400_000
    await job().sweep()
    expect(await Promise.all(await counts())).toEqual([1, 1])
    expect((await rows()).map((row) => row.status)).toEqual(['waiting', 'waiting'])
  })

  test('an account sees and changes its own webhooks only', async () => {
    const { id } = await add()
    await push()
    const [delivery] = await rows()
    const service = webhooks()
    expect(await service.list(bob)).toEqual([])
    expect(await service.find(bob, id)).toBeUndefined()
    expect(await service.rotateSecret(bob, id)).toBeUndefined()
    expect(await service.test(bob, id)).toBeUndefined()
    expect(await service.redeliver(bob, id, delivery?.id ?? '')).toBeUndefined()
    await service.setEnabled(bob, id, false)
    await service.delete(bob, id)
    const mine = await add({ did: bob })
    expect(await service.redeliver(bob, mine.id, delivery?.id ?? '')).toBeUndefined()
    expect(await service.find(alice, id)).toMatchObject({ webhook: { isEnabled: true }, deliveries: [{ status: 'waiting' }] }) // prettier-ignore
    expect(await rows()).toHaveLength(1)
  })

  test('a form that is sent twice adds one webhook; another account cannot take its id', async () => {
    const wanted = { id: randomId(), url: 'https://ci.example.com/', triggers: ['push'], repository: '' }
    expect(await webhooks().create(alice, wanted)).toMatchObject({ secret: expect.stringMatching(/^atcrwh_/) as string }) // prettier-ignore
    expect(await webhooks().create(alice, wanted)).toMatchObject({ id: wanted.id, secret: undefined })
    expect(await webhooks().create(bob, wanted)).toMatchObject({ secret: undefined })
    expect([(await webhooks().list(alice)).length, (await webhooks().list(bob)).length]).toEqual([1, 0])
  })

  test('address and secret rest sealed; a new secret replaces the old', async () => {
    const { id, secret } = await add({ url: 'https://ci.example.com/very-secret?token=hidden' })
    const stored = JSON.stringify(await db.selectFrom('webhooks').selectAll().execute())
    for (const text of ['very-secret', 'hidden', secret]) expect(stored).not.toContain(text)
    const rotated = await webhooks().rotateSecret(alice, id)
    expect(rotated).not.toBe(secret)
    await push()
    const log = logger('webhooks-of-a-test')
    const lines = (['debug', 'info', 'warn', 'error'] as const).map((level) => vi.spyOn(log, level))
    await using deliveries = new WebhookDeliveries({ db, sender, sealing, log, now })
    deliveries.start()
    deliveries.wake()
    await deliveries.idle()
    const logged = JSON.stringify(lines.map((line) => line.mock.calls))
    expect(logged).toContain('ci.example.com')
    expect(logged).not.toMatch(/very-secret|hidden|atcrwh_/)
    const [message] = sender.sent
    expect(message?.url).toBe('https://ci.example.com/very-secret?token=hidden')
    expect(message?.headers['x-atcr-signature-256']).toBe(webhookSignature(rotated ?? '', message?.body ?? '')) // prettier-ignore
  })

  test('with another key file a message fails, and says what to do', async () => {
    await add()
    await push()
    await using deliveries = new WebhookDeliveries({ db, sender, sealing: new Sealing(Buffer.alloc(32, 8)), log: logger('test'), now }) // prettier-ignore
    deliveries.start()
    deliveries.wake()
    await deliveries.idle()
    expect(sender.sent).toEqual([])
    expect(await rows()).toMatchObject([{ status: 'failed', response_text: expect.stringContaining('add it again') as string }]) // prettier-ignore
  })

  test('a test is about the newest tag; tests and repetitions have a limit; a disabled one is sent nothing', async () => {
    const { id } = await add()
    await webhooks().test(alice, id)
    await manifest('latest')
    await tag('v2', digestOf('latest'))
    nowMs += 1
    const tested = await webhooks().test(alice, id)
    const bodies = (await rows()).map((row) => JSON.parse(row.payload) as Record<string, unknown>)
    expect(bodies[0]).toMatchObject({ trigger: 'test', push_data: { tag: 'latest' }, repository: { name: 'example' } }) // prettier-ignore
    expect(bodies.at(-1)).toMatchObject({ trigger: 'test', push_data: { tag: 'v2', digest: digestOf('latest') }, repository: { name: 'app' } }) // prettier-ignore
    const again = await webhooks().redeliver(alice, id, tested ?? '')
    expect(again).not.toBe(tested)
    for (let count = 0; count < 6; count++) await webhooks().redeliver(alice, id, tested ?? '')
    await expect(webhooks().test(alice, id)).rejects.toMatchObject({ code: 'rate_limited' })
    nowMs += 60_000
    expect(await webhooks().test(alice, id)).toBeDefined()
    await webhooks().setEnabled(alice, id, false)
    await expect(webhooks().test(alice, id)).rejects.toMatchObject({ code: 'webhook_disabled' })
    expect((await rows()).every((row) => row.status === 'failed')).toBe(true)
  })

  test('an account has so many webhooks; those of a deleted account are gone with their messages', async () => {
    for (let count = 0; count < webhookCountMax; count++) await add()
    await expect(add()).rejects.toMatchObject({ code: 'webhook_limit' })
    await push()
    await deleteAccountRows(db, alice)
    expect(await rows()).toEqual([])
    expect(await webhooks().list(alice)).toEqual([])
  })
})

const tidLetters = '234567abcdefghijklmnopqrstuvwxyz'
let clockId = 0n

/** A rev of a commit at this time; each is another. */
function tidOf(ms: number): string {
  let value = (BigInt(ms) * 1000n + 500n) * 1024n + (clockId++ % 1024n)
  let text = ''
  for (let letter = 0; letter < 13; letter++) {
    text = tidLetters[Number(value % 32n)] + text
    value /= 32n
  }
  return text
}
