import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { listShownMoves } from '../../src/appview/db/listings.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewTables } from '../../src/appview/db/schema.ts'
import { noteTagWrite } from '../../src/appview/db/tag-moves.ts'
import { listMapPart, listMapParts } from '../../src/appview/ui/views/sitemap.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { fillDatabase, putManifest } from '../e2e/pages-fixture.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

const carol: Did = 'did:plc:carolcarolcarolcarolcaro'
const privateHold: Did = 'did:web:vault.example'

describe.each(['SQLite', 'PostgreSQL'])('%s', (kind) => {
  let postgres: Postgres | undefined
  let db: Database<AppViewTables>

  beforeAll(async () => {
    postgres = kind === 'PostgreSQL' ? await startPostgres() : undefined
    const location = postgres === undefined ? { path: ':memory:' } : { url: postgres.createDatabase() }
    db = await openDatabase<AppViewTables>(location, migrations)
    await fillDatabase(db)
  })
  afterAll(async () => {
    await db.destroy()
    await postgres?.[Symbol.asyncDispose]()
  })

  test('moves of tags: what everyone may see, the last first; what was written again as it was is none', async () => {
    const put = (name: string, holdDid?: Did) =>
      putManifest(db, { owner: carol, repository: 'app', name, minutes: 9, ...(holdDid && { holdDid }) })
    const [one, other, secret] = [await put('one'), await put('other'), await put('hidden', privateHold)]
    for (const [minute, digest] of [one, one, other, one, secret, one, undefined, one].entries()) {
      await noteTagWrite(db, {
        ownerDid: carol,
        rkey: 'app_v1',
        rev: `3k${minute}`,
        ...(digest && { target: { repository: 'app', tag: 'v1', digest } }),
        writtenAt: `2026-11-20T00:0${minute}:00.000Z`,
      })
    }
    const read = async (which: { name?: string }, limit = 9) => {
      const moves = await listShownMoves(db, { ownerDid: carol, ...which }, { limit, viewer: undefined })
      return moves.map((move) => move.rev)
    }
    expect(await read({})).toEqual(['3k7', '3k5', '3k3', '3k2', '3k0'])
    expect(await read({ name: 'app' }, 2)).toEqual(['3k7', '3k5'])
    expect(await read({ name: 'other' })).toEqual([])
  })

  test('the map in parts of three has every page once', async () => {
    const counts = { part: 3, batch: 1 }
    for (const kind of ['people', 'repositories'] as const) {
      const read = async (after: string, sizes?: typeof counts) =>
        (await Array.fromAsync(listMapPart(db, kind, after, sizes))).flat().map((page) => page.path)
      const whole = await read('')
      const parts = await listMapParts(db, kind, counts)
      const pages: string[] = []
      for (const after of parts) pages.push(...(await read(after, counts)))
      expect(pages).toEqual(whole)
      expect(pages.length).toBeGreaterThan(2)
      expect(parts.length).toBe(Math.floor(pages.length / 3) + 1)
    }
  })
})
