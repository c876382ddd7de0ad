import { sql } from 'kysely'
import { expect, test } from 'vitest'

import { toOciError } from '../../src/appview/registry/errors.ts'
import { toHoldError } from '../../src/hold/errors.ts'
import { isDatabaseAway, openDatabase } from '../../src/lib/database.ts'
import { startPostgres } from '../network/postgres.ts'

/** Goal: a database server that goes away takes nothing with it but the answers of meanwhile, and is told from a mistake of ours. */
test('PostgreSQL is stopped under connections that rest and that work, and started again', async () => {
  await using postgres = await startPostgres()
  await using db = await openDatabase({ url: postgres.createDatabase() }, {})
  const ask = () => sql`SELECT 1`.execute(db)
  await Promise.all([ask(), ask(), ask()])

  const working = sql`SELECT pg_sleep(600)`.execute(db).catch((error: unknown) => error)
  // Until its connection has it.
  await expect.poll(async () => (await sql`SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'`.execute(db)).rows.length, { timeout: 30_000 }).toBe(1) // prettier-ignore
  await postgres.stop()
  const failures = [await working, await ask().catch((error: unknown) => error)]
  expect(failures.map(isDatabaseAway)).toEqual([true, true])
  expect(failures.map((error) => toOciError(error, 'r').status)).toEqual([503, 503])
  expect(failures.map((error) => toHoldError(error)?.code)).toEqual(['storage_failed', 'storage_failed'])

  await postgres.start()
  expect((await ask()).rows).toHaveLength(1)
})

test('what is no outage is not called one', async () => {
  await using postgres = await startPostgres()
  await using db = await openDatabase({ url: postgres.createDatabase() }, {})
  const mistake = await sql`SELECT nonsense`.execute(db).catch((error: unknown) => error)
  expect(mistake).toBeInstanceOf(Error)
  const others = [mistake, new Error('Connection refused by nobody'), Object.assign(new Error('no such file'), { code: 'ENOENT', syscall: 'open' }), 'text'] // prettier-ignore
  expect(others.map(isDatabaseAway)).toEqual([false, false, false, false])
})
