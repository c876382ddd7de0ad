import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { migrations } from '../../src/appview/db/migrations.ts'
import { deleteLease, takeLease } from '../../src/appview/db/leases.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { Leases } from '../../src/appview/services/leases.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

/** Goal: one at a time over all instances, whichever database they share. Two connections are two instances. */

describe.each(['sqlite', 'postgres'] as const)('leases on %s', (dialect) => {
  let postgres: Postgres | undefined
  let folder: string
  let one: Database<AppViewTables>
  let other: Database<AppViewTables>
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const now = () => new Date(nowMs)

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-leases-'))
    postgres = dialect === 'postgres' ? await startPostgres() : undefined
    const location =
      postgres === undefined ? { path: join(folder, 'ui.db') } : { url: postgres.createDatabase() }
    one = await openDatabase<AppViewTables>(location, migrations)
    other = await openDatabase<AppViewTables>(location, migrations)
  })
  afterAll(async () => {
    await one?.destroy()
    await other?.destroy()
    await postgres?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  const take = (db: Database<AppViewTables>, name: string, holder: string) =>
    takeLease(db, { name, holder, nowMs, expiresAtMs: nowMs + 1000 })

  test('of many who want one at once, one gets it', async () => {
    const wanted = ['a', 'b', 'c', 'd', 'e', 'f'].map((holder, index) =>
      take(index % 2 === 0 ? one : other, 'race', holder),
    )
    expect((await Promise.all(wanted)).filter(Boolean)).toHaveLength(1)
  })

  test('it is free again when it is given back, or its time is over; then the holder before has no say', async () => {
    expect(await take(one, 'x', 'a')).toBe(true)
    expect(await take(other, 'x', 'b')).toBe(false)
    expect(await take(other, 'y', 'b')).toBe(true)
    await deleteLease(other, 'x', 'b')
    expect(await take(other, 'x', 'b')).toBe(false)
    await deleteLease(one, 'x', 'a')
    expect(await take(other, 'x', 'b')).toBe(true)
    nowMs += 1000
    expect(await take(one, 'x', 'c')).toBe(true)
    await deleteLease(other, 'x', 'b')
    expect(await take(other, 'x', 'd')).toBe(false)
  })

  test('actions under one name follow each other over both instances, under different names they do not wait', async () => {
    const leases = [new Leases({ db: one, now }), new Leases({ db: other, now })]
    let running = 0
    let most = 0
    const action = async () => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
    }
    await Promise.all([...leases, ...leases, ...leases].map((it) => it.run('same', action)))
    expect(most).toBe(1)
    const gate = Promise.withResolvers<void>()
    const blocked = leases[0]?.run('first', () => gate.promise)
    await leases[1]?.run('second', async () => gate.resolve())
    await blocked
  })

  test('an action that fails gives the lease back', async () => {
    const leases = new Leases({ db: one, now })
    const failing = leases.run('failing', async () => {
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(await take(other, 'failing', 'x')).toBe(true)
  })
})
