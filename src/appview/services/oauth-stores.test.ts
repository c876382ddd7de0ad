import { randomBytes } from 'node:crypto'

import { expect, test } from 'vitest'

import { openDatabase } from '../../lib/database.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { createOAuthStores } from './oauth-stores.ts'
import { Sealing } from './sealing.ts'

test('a flood of logins pushes out its own oldest: the newest goes on, and so few are kept', async () => {
  const db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const { states } = createOAuthStores({
    db,
    sealing: new Sealing(randomBytes(32)),
    now: () => new Date(nowMs),
    stateCountMax: 10,
  })
  const value = { iss: 'https://pds.test' } as Parameters<typeof states.set>[1]
  for (let count = 0; count < 40; count++) {
    await states.set(`state-${count}`, value)
    nowMs += 1000
  }
  expect(await db.selectFrom('oauth_states').selectAll().execute()).toHaveLength(11)
  expect(await states.get('state-39')).toEqual(value)
  expect(await states.get('state-0')).toBeUndefined()
  await db.destroy()
})
