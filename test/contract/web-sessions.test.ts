import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { Sealing } from '../../src/appview/services/sealing.ts'
import { webSessionCountMax, WebSessions } from '../../src/appview/services/web-sessions.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

const [alice, bob] = ['did:plc:alice', 'did:plc:bob'] as const
const browser = { userAgent: 'Firefox', address: '::1' }

// What the service relies on of a database: that one of many at once rotates, and that nobody reaches another's row.
describe.each(['SQLite', 'PostgreSQL'])('%s', (kind) => {
  let postgres: Postgres | undefined
  let db: Database<AppViewTables>
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  /** Two instances of the AppView over one database. */
  let instances: [WebSessions, WebSessions]
  const pass = (seconds: number) => (nowMs += seconds * 1000)

  beforeAll(async () => {
    postgres = kind === 'PostgreSQL' ? await startPostgres() : undefined
    const location = postgres === undefined ? { path: ':memory:' } : { url: postgres.createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
    const needs = { db, sealing: new Sealing(Buffer.alloc(32)), now: () => new Date(nowMs) }
    instances = [new WebSessions(needs), new WebSessions(needs)]
  })
  afterAll(async () => {
    await db.destroy()
    await postgres?.[Symbol.asyncDispose]()
  })

  test('of requests at once on two instances, one brings the new token', async () => {
    const [one, other] = instances
    const token = await one.create(alice, browser)
    pass(3600)
    const found = await Promise.all(
      Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other).find(token)),
    )
    expect(found.every((session) => session?.did === alice)).toBe(true)
    const newTokens = found.flatMap((session) => session?.newToken ?? [])
    expect(newTokens).toHaveLength(1)
    expect(await other.find(newTokens[0] ?? '')).toMatchObject({ did: alice })
    pass(60)
    expect(await one.find(token)).toBeUndefined()
    expect(await other.find(newTokens[0] ?? '')).toBeUndefined()
  })

  test('times, order and the limit are the same; ids of others reach nothing', async () => {
    const [one, other] = instances
    const ofBob = await one.create(bob, browser)
    for (let count = 0; count <= webSessionCountMax; count++) {
      pass(60)
      await one.create(alice, { userAgent: `browser ${count}`, address: '::1' })
    }
    const list = await other.list(alice)
    expect(list).toHaveLength(webSessionCountMax)
    expect(list[0]).toMatchObject({ userAgent: `browser ${webSessionCountMax}`, usedAt: new Date(nowMs) })
    expect(list.at(-1)?.userAgent).toBe('browser 1')
    const [bobs] = await one.list(bob)
    await other.delete(alice, bobs?.id ?? '')
    await other.deleteAll(alice)
    expect(await other.list(alice)).toEqual([])
    expect(await one.find(ofBob)).toMatchObject({ did: bob })
  })

  test('what is over is gone with the next login', async () => {
    pass(14 * 86_400)
    await instances[0].create(alice, browser)
    expect(await db.selectFrom('web_sessions').select('did').execute()).toEqual([{ did: alice }])
  })
})
