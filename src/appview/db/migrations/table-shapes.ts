import { sql, type Kysely, type RawBuilder } from 'kysely'

import { isPostgres } from '../dialect.ts'

type ColumnType = 'text' | 'integer' | 'bigint' | 'blob'

/**
 * The four column types in the dialect's words. Text sorts and compares by bytes in both: tags are listed in that
 * order, and revs and ISO times rely on it.
 */
function columnTypes(db: Kysely<unknown>): Record<ColumnType, RawBuilder<unknown>> {
  const postgres = isPostgres(db)
  return {
    text: postgres ? sql`text collate "C"` : sql`text`,
    integer: sql`integer`,
    bigint: sql`bigint`,
    blob: postgres ? sql`bytea` : sql`blob`,
  }
}

/** A table by its columns: `'text'` is required, `'text?'` may be null. */
export interface TableShape {
  columns: Record<string, ColumnType | `${ColumnType}?`>
  key: string[]
  indexes?: string[][]
}

/** Creates tables with their keys and indexes. */
export async function createTables(
  db: Kysely<unknown>,
  tables: Readonly<Record<string, TableShape>>,
): Promise<void> {
  const types = columnTypes(db)
  for (const [table, shape] of Object.entries(tables)) {
    let create = db.schema.createTable(table)
    for (const [column, type] of Object.entries(shape.columns)) {
      const isNullable = type.endsWith('?')
      const columnType = types[type.replace('?', '') as ColumnType]
      create = create.addColumn(column, sql`${columnType}`, (c) => (isNullable ? c : c.notNull()))
    }
    await create.addPrimaryKeyConstraint(`${table}_pk`, shape.key as never[]).execute()
    for (const columns of shape.indexes ?? []) await createIndexes(db, { [table]: columns })
  }
}

/** Creates one index on each of these tables, named after its columns. */
export async function createIndexes(
  db: Kysely<unknown>,
  indexes: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  for (const [table, columns] of Object.entries(indexes)) {
    await db.schema
      .createIndex([table, ...columns].join('__'))
      .on(table)
      .columns([...columns])
      .execute()
  }
}
