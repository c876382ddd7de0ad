import { afterEach, beforeEach, expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { migrations } from '../db/migrations.ts'
import { listPullDays } from '../db/pull-days.ts'
import type { AppViewTables } from '../db/schema.ts'
import { PullDays } from './pull-days.ts'

const ownerDid: Did = 'did:plc:alicealicealicealicealic'
const repository = { ownerDid, name: 'app' }
const log = logger('test')
log.level = 'silent'

let db: Database<AppViewTables>
let time: Date

beforeEach(async () => {
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  time = new Date('2026-11-22T23:59:59Z')
})
afterEach(() => db.destroy())

const pullDays = (database = db) => new PullDays({ db: database, now: () => time, log })

test('pulls are counted by day and repository, and two AppViews add up', async () => {
  const [one, other] = [pullDays(), pullDays()]
  for (const counter of [one, one, other]) counter.note(repository)
  time = new Date('2026-11-23T00:00:00Z')
  one.note(repository)
  one.note({ ownerDid, name: 'other' })
  expect(await listPullDays(db, repository, '2026-01-01')).toEqual(new Map())
  await one.flush()
  await other.flush()
  await one.flush()
  expect(await listPullDays(db, repository, '2026-01-01')).toEqual(
    new Map([
      ['2026-11-22', 3],
      ['2026-11-23', 1],
    ]),
  )
  expect(await listPullDays(db, repository, '2026-11-23')).toEqual(new Map([['2026-11-23', 1]]))
})

test('what cannot be written is written later, and what waits at the end is not lost', async () => {
  const broken = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  const counter = pullDays(broken)
  counter.note(repository)
  await broken.schema.alterTable('pull_days').renameTo('elsewhere').execute()
  await counter.flush()
  await broken.schema.alterTable('elsewhere').renameTo('pull_days').execute()
  counter.note(repository)
  await counter[Symbol.asyncDispose]()
  expect(await listPullDays(broken, repository, '2026-01-01')).toEqual(new Map([['2026-11-22', 2]]))
  await broken.destroy()
})

test('after 400 days they are forgotten', async () => {
  const counter = pullDays()
  counter.note(repository)
  await counter.flush()
  time = new Date(time.getTime() + 400 * 86_400_000)
  await counter.sweep()
  expect(await listPullDays(db, repository, '2026-01-01')).toEqual(new Map([['2026-11-22', 1]]))
  time = new Date(time.getTime() + 86_400_000)
  await counter.sweep()
  expect(await listPullDays(db, repository, '2026-01-01')).toEqual(new Map())
})
