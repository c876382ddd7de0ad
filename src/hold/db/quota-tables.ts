import { sql, type Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

import type { StorageTables } from './storage-tables.ts'

/** Who is charged for what. Everything here can be made anew from `layers`, which can be made from layer records. */
export interface QuotaTables {
  charges: ChargeRow
  user_usage: UserUsageRow
  kept_blobs: KeptBlobRow
}

/** A blob that manifests of an account name: charged once, however many they are. */
export interface ChargeRow {
  user_did: string
  digest: string
  size_bytes: number
  /** How many manifests; never 0. */
  reference_count: number
}

/** The charges of an account, summed up. */
export interface UserUsageRow {
  user_did: string
  blob_count: number
  size_bytes: number
}

/** A blob that an account uploaded and no manifest of its names yet. Counts against the quota like a charge. */
export interface KeptBlobRow {
  user_did: string
  digest: string
  size_bytes: number
  kept_at: string
}

/** Charges, with those for the layers that are there already. */
export const quotaTables: Migration = {
  up: async (database: Kysely<StorageTables>) => {
    const { schema } = database
    await schema
      .createTable('charges')
      .addColumn('user_did', 'text', (column) => column.notNull())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('reference_count', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('charges_pk', ['user_did', 'digest'])
      .execute()
    await schema.createIndex('charges_digest').on('charges').column('digest').execute()
    await schema
      .createTable('user_usage')
      .addColumn('user_did', 'text', (column) => column.primaryKey())
      .addColumn('blob_count', 'bigint', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .execute()
    await schema.createIndex('user_usage_size').on('user_usage').column('size_bytes').execute()
    await schema
      .createTable('kept_blobs')
      .addColumn('user_did', 'text', (column) => column.notNull())
      .addColumn('digest', 'text', (column) => column.notNull())
      .addColumn('size_bytes', 'bigint', (column) => column.notNull())
      .addColumn('kept_at', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('kept_blobs_pk', ['user_did', 'digest'])
      .execute()
    await schema.createIndex('kept_blobs_age').on('kept_blobs').column('kept_at').execute()
    for (const name of ['reserved_bytes', 'free_bytes']) {
      await schema
        .alterTable('uploads')
        .addColumn(name, 'bigint', (column) => column.notNull().defaultTo(0))
        .execute()
    }
    await schema.createIndex('uploads_user').on('uploads').columns(['user_did', 'state']).execute()
    await chargeLayers(database)
    await database
      .updateTable('uploads')
      .set({ reserved_bytes: sql`coalesce(announced_size_bytes, offset_bytes)` })
      .where('state', '=', 'open')
      .execute()
  },
}

/** Makes charges and their sums from what `layers` says. They must be empty. */
export async function chargeLayers(database: Parameters<Migration['up']>[0]): Promise<void> {
  await sql`
    insert into charges (user_did, digest, size_bytes, reference_count)
    select user_did, digest, max(size_bytes), count(*) from layers group by user_did, digest`.execute(
    database,
  )
  await sql`
    insert into user_usage (user_did, blob_count, size_bytes)
    select user_did, count(*), sum(size_bytes) from charges group by user_did`.execute(database)
}
