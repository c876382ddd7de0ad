import type { Kysely } from 'kysely'

import type { GcOwnerRow } from './gc-tables.ts'
import type { StorageTables } from './storage-tables.ts'

export function findGcOwner(database: Kysely<StorageTables>, did: string): Promise<GcOwnerRow | undefined> {
  return database.selectFrom('gc_owners').selectAll().where('did', '=', did).executeTakeFirst()
}

export async function putGcOwner(database: Kysely<StorageTables>, row: GcOwnerRow): Promise<void> {
  await database
    .insertInto('gc_owners')
    .values(row)
    .onConflict((conflict) => conflict.column('did').doUpdateSet(row))
    .execute()
}

/** Accounts that layers are charged to, in the order of their DIDs, after `after`. */
export async function listLayerOwners(
  database: Kysely<StorageTables>,
  after: string,
  limit: number,
): Promise<string[]> {
  const rows = await database
    .selectFrom('layers')
    .select('user_did')
    .distinct()
    .where('user_did', '>', after)
    .orderBy('user_did')
    .limit(limit)
    .execute()
  return rows.map(({ user_did }) => user_did)
}

/** Manifests of an account that name blobs here, in the order of their URIs, after `after`. */
export async function listManifestUris(
  database: Kysely<StorageTables>,
  userDid: string,
  after: string,
  limit: number,
): Promise<string[]> {
  const rows = await database
    .selectFrom('layers')
    .select('manifest_uri')
    .distinct()
    .where('user_did', '=', userDid)
    .where('manifest_uri', '>', after)
    .orderBy('manifest_uri')
    .limit(limit)
    .execute()
  return rows.map(({ manifest_uri }) => manifest_uri)
}

export async function countManifests(database: Kysely<StorageTables>): Promise<number> {
  const row = await database
    .selectFrom('layers')
    .select((eb) => eb.fn.count('manifest_uri').distinct().as('count'))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}

/** Those of the manifests that have rows. */
export async function listKnownManifests(
  database: Kysely<StorageTables>,
  manifestUris: readonly string[],
): Promise<Set<string>> {
  if (manifestUris.length === 0) return new Set()
  const rows = await database
    .selectFrom('layers')
    .select('manifest_uri')
    .distinct()
    .where('manifest_uri', 'in', manifestUris)
    .execute()
  return new Set(rows.map(({ manifest_uri }) => manifest_uri))
}

/** Since when each of these manifests was missing, those that were not left out. */
export async function findMissing(
  database: Kysely<StorageTables>,
  manifestUris: readonly string[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (let start = 0; start < manifestUris.length; start += 1000) {
    const rows = await database
      .selectFrom('gc_missing_manifests')
      .selectAll()
      .where('manifest_uri', 'in', manifestUris.slice(start, start + 1000))
      .execute()
    for (const { manifest_uri, missing_since } of rows) found.set(manifest_uri, missing_since)
  }
  return found
}

export async function insertMissing(
  database: Kysely<StorageTables>,
  manifestUri: string,
  missingSince: string,
): Promise<void> {
  await database
    .insertInto('gc_missing_manifests')
    .values({ manifest_uri: manifestUri, missing_since: missingSince })
    .onConflict((conflict) => conflict.column('manifest_uri').doNothing())
    .execute()
}

/** Forgets that manifests were missing: they are there again, or dealt with. */
export async function deleteMissing(
  database: Kysely<StorageTables>,
  manifestUris: readonly string[],
): Promise<void> {
  for (let start = 0; start < manifestUris.length; start += 1000) {
    await database
      .deleteFrom('gc_missing_manifests')
      .where('manifest_uri', 'in', manifestUris.slice(start, start + 1000))
      .execute()
  }
}
