import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'

import { afterEach, expect, test } from 'vitest'

import { openDatabase } from '../../lib/database.ts'
import { findCursor, putCursor } from './cursors.ts'
import { migrations } from './migrations.ts'
import { RecentRows } from './recent-rows.ts'
import type { AppViewTables } from './schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'recent-rows-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Two AppViews on one file. */
async function twoAppViews() {
  const open = () => openDatabase<AppViewTables>({ path: join(folder, 'ui.db') }, migrations)
  const [here, there] = [await open(), await open()]
  const recent = new RecentRows<number | undefined>(here)
  let asked = 0
  const cursor = () =>
    recent.get('cursor', async () => {
      asked++
      return findCursor(here, 'jetstream')
    })
  return { here, there, cursor, timesAsked: () => asked }
}

test('asks once, again after a write of its own, and after one of another process', async () => {
  const { here, there, cursor, timesAsked } = await twoAppViews()
  expect([await cursor(), await cursor(), timesAsked()]).toEqual([undefined, undefined, 1])
  await putCursor(here, 'jetstream', 1)
  expect([await cursor(), await cursor(), timesAsked()]).toEqual([1, 1, 2])
  await putCursor(there, 'jetstream', 2)
  // Whoever is told of it by the other process is heard in a later turn of the event loop.
  await setImmediate()
  expect([await cursor(), timesAsked()]).toEqual([2, 3])
  // A write with RETURNING reads as well.
  await here.deleteFrom('cursors').returning('source').execute()
  expect(await cursor()).toBeUndefined()
  await here.destroy()
  await there.destroy()
})

test('an answer that a write overtook is not kept', async () => {
  const { here, there } = await twoAppViews()
  const recent = new RecentRows<number | undefined>(here)
  const slow = recent.get('cursor', async () => {
    const before = await findCursor(here, 'jetstream')
    await putCursor(here, 'jetstream', 7)
    return before
  })
  expect(await slow).toBeUndefined()
  expect(await recent.get('cursor', () => findCursor(here, 'jetstream'))).toBe(7)
  await here.destroy()
  await there.destroy()
})
