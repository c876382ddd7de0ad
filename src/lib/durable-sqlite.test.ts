import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

import { Kysely, type SqliteDatabase } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { openDatabase } from './database.ts'
import { DurableSqliteDialect } from './durable-sqlite.ts'

interface Tables {
  notes: { text: string }
}

/** A disk whose flushes end when the test says so. */
class SlowDisk {
  readonly begun: PromiseWithResolvers<void>[] = []

  flush(): Promise<void> {
    const flush = Promise.withResolvers<void>()
    this.begun.push(flush)
    return flush.promise
  }
}

let sqlite: DatabaseSync
let dialect: DurableSqliteDialect
let disk: SlowDisk
let db: Kysely<Tables>

beforeEach(async () => {
  sqlite = new DatabaseSync(':memory:')
  sqlite.exec('CREATE TABLE notes (text TEXT)')
  disk = new SlowDisk()
  db = opened()
  // The first question flushes whatever an earlier process has left.
  const first = db.selectFrom('notes').selectAll().execute()
  await settled()
  disk.begun[0]?.resolve()
  await first
  disk.begun.length = 0
})

afterEach(async () => {
  await db.destroy()
})

function opened(): Kysely<Tables> {
  const changes = sqlite.prepare('SELECT total_changes() AS count')
  const commitLog = { version: () => String(changes.get()?.['count']), flush: () => disk.flush() }
  const database: SqliteDatabase = {
    close: () => sqlite.close(),
    prepare: (sql) => {
      const statement = sqlite.prepare(sql)
      return {
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...(parameters as never[])),
        run: (parameters) => statement.run(...(parameters as never[])),
        iterate: (parameters) => statement.iterate(...(parameters as never[])),
      }
    },
  }
  dialect = new DurableSqliteDialect({ database, commitLog })
  return new Kysely({ dialect })
}

/** Everything has happened that needs no disk. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5))

/** Runs it and tells whether it is over. */
function watched(work: Promise<unknown>): { isOver: boolean; failure: unknown } {
  const seen = { isOver: false, failure: undefined as unknown }
  work.then(
    () => (seen.isOver = true),
    (error: unknown) => {
      seen.isOver = true
      seen.failure = error
    },
  )
  return seen
}

const note = (text: string) => db.insertInto('notes').values({ text }).execute()
const noteInTransaction = (text: string) =>
  db.transaction().execute(async (transaction) => {
    await transaction.insertInto('notes').values({ text }).execute()
    await settled()
  })
const read = () => db.selectFrom('notes').selectAll().execute()

test.each([
  ['a statement', note],
  ['a transaction', noteInTransaction],
])('%s is over once it is on disk', async (_, write) => {
  const seen = watched(write('a'))
  await settled()
  await settled()
  expect([disk.begun.length, seen.isOver]).toEqual([1, false])
  disk.begun[0]?.resolve()
  await settled()
  expect(seen.isOver).toBe(true)
})

test('what came while the disk was busy shares the next flush', async () => {
  const first = watched(note('first'))
  await settled()
  const others = [note('a'), noteInTransaction('b'), note('c')].map(watched)
  await settled()
  await settled()
  expect(disk.begun).toHaveLength(1)
  disk.begun[0]?.resolve()
  await settled()
  expect([first.isOver, ...others.map(({ isOver }) => isOver)]).toEqual([true, false, false, false])
  expect(disk.begun).toHaveLength(2)
  disk.begun[1]?.resolve()
  await settled()
  expect(others.every(({ isOver }) => isOver)).toBe(true)
})

test('a transaction that is open while the disk is flushed is not taken for flushed', async () => {
  const first = watched(note('first'))
  await settled()
  const goOn = Promise.withResolvers<void>()
  const second = watched(
    db.transaction().execute(async (transaction) => {
      await transaction.insertInto('notes').values({ text: 'second' }).execute()
      await goOn.promise
    }),
  )
  await settled()
  disk.begun[0]?.resolve()
  await settled()
  goOn.resolve()
  await settled()
  expect([first.isOver, second.isOver, disk.begun.length]).toEqual([true, false, 2])
  disk.begun[1]?.resolve()
  await settled()
  expect(second.isOver).toBe(true)
})

test('nobody is shown what is not on disk, and who reads only costs no flush', async () => {
  const write = watched(note('a'))
  await settled()
  const reader = watched(read())
  await settled()
  expect([write.isOver, reader.isOver, disk.begun.length]).toEqual([false, false, 1])
  disk.begun[0]?.resolve()
  await settled()
  expect([write.isOver, reader.isOver]).toEqual([true, true])
  expect(await read()).toEqual([{ text: 'a' }])
  expect(disk.begun).toHaveLength(1)
})

const noteInPassing = (text: string) =>
  dialect.cacheTransaction(db, (transaction) => transaction.insertInto('notes').values({ text }).execute())

test('what can be had anew is over at once, shown to all, and goes to the disk with what others write', async () => {
  await noteInPassing('cached')
  expect(await read()).toEqual([{ text: 'cached' }])
  expect(disk.begun).toHaveLength(0)
  const write = watched(note('a'))
  await settled()
  expect([disk.begun.length, write.isOver]).toEqual([1, false])
  await noteInPassing('while the disk is busy')
  const [reader, other] = [watched(read()), watched(note('b'))]
  await settled()
  expect([write.isOver, reader.isOver, other.isOver, disk.begun.length]).toEqual([false, false, false, 1])
  disk.begun[0]?.resolve()
  await settled()
  expect([write.isOver, reader.isOver, other.isOver, disk.begun.length]).toEqual([true, true, false, 2])
  await noteInPassing('while others wait')
  disk.begun[1]?.resolve()
  await settled()
  expect([other.isOver, disk.begun.length]).toEqual([true, 2])
})

test('what can be had anew and fails is undone, and others wait for the disk as ever', async () => {
  const failed = watched(
    dialect.cacheTransaction(db, async (transaction) => {
      await transaction.insertInto('notes').values({ text: 'no' }).execute()
      throw new Error('it was not there')
    }),
  )
  await settled()
  disk.begun[0]?.resolve()
  await settled()
  expect(failed.failure).toEqual(new Error('it was not there'))
  expect(await read()).toEqual([])
  const write = watched(note('a'))
  await settled()
  expect(write.isOver).toBe(false)
  disk.begun.at(-1)?.resolve()
  await settled()
  expect(write.isOver).toBe(true)
})

test('after a flush that failed nothing is answered any more', async () => {
  const [one, other] = [watched(note('a')), watched(read())]
  await settled()
  disk.begun[0]?.reject(new Error('EIO'))
  await settled()
  expect([one.failure, other.failure]).toEqual([new Error('EIO'), new Error('EIO')])
  await expect(read()).rejects.toThrow('EIO')
  await expect(note('b')).rejects.toThrow('EIO')
  expect(disk.begun).toHaveLength(1)
})

test('a file: what one process wrote and did not flush, the next flushes before it shows it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-durable-'))
  try {
    const path = join(folder, 'a.db')
    await using file = await openDatabase<Tables>({ path }, {})
    const other = new DatabaseSync(path)
    other.exec(
      "PRAGMA synchronous = OFF; CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('theirs')",
    )
    expect(await file.selectFrom('notes').selectAll().execute()).toEqual([{ text: 'theirs' }])
    await file.insertInto('notes').values({ text: 'ours' }).execute()
    expect(other.prepare('SELECT text FROM notes').all()).toEqual([{ text: 'theirs' }, { text: 'ours' }])
    other.close()
  } finally {
    await rm(folder, { recursive: true })
  }
})
