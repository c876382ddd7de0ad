import type { Kysely } from 'kysely'

import type { BookkeepingTables } from './bookkeeping-tables.ts'
import type { StorageTables } from './storage-tables.ts'

type Tables = Kysely<BookkeepingTables & StorageTables>

/** A manifest that names blobs of ours, and the repositories it was pushed to. */
export interface NamingManifest {
  manifestUri: string
  userDid: string
  repositories: string[]
}

/** Notes that a manifest is part of a repository. */
export async function insertManifestRepository(
  database: Kysely<BookkeepingTables>,
  manifestUri: string,
  repository: string,
): Promise<void> {
  await database
    .insertInto('manifest_repositories')
    .values({ manifest_uri: manifestUri, repository })
    .onConflict((conflict) => conflict.columns(['manifest_uri', 'repository']).doNothing())
    .execute()
}

/** Those of the manifests whose repositories are noted. */
export async function listNotedManifests(
  database: Kysely<BookkeepingTables>,
  manifestUris: readonly string[],
): Promise<ReadonlySet<string>> {
  if (manifestUris.length === 0) return new Set()
  const rows = await database
    .selectFrom('manifest_repositories')
    .select('manifest_uri')
    .where('manifest_uri', 'in', manifestUris)
    .execute()
  return new Set(rows.map(({ manifest_uri }) => manifest_uri))
}

/** A page of the manifests that name a blob, after the one of `cursor`. */
export async function listManifestsNaming(
  database: Tables,
  digest: string,
  page: { cursor: string; limit: number },
): Promise<NamingManifest[]> {
  const rows = await database
    .selectFrom('layers')
    .select(['manifest_uri', 'user_did'])
    .where('digest', '=', digest)
    .where('manifest_uri', '>', page.cursor)
    .orderBy('manifest_uri')
    .limit(page.limit)
    .execute()
  return withRepositories(database, rows)
}

/** All manifests of an owner that name blobs of ours. */
export async function listManifestsOf(database: Tables, ownerDid: string): Promise<NamingManifest[]> {
  const rows = await database
    .selectFrom('layers')
    .select(['manifest_uri', 'user_did'])
    .distinct()
    .where('user_did', '=', ownerDid)
    .orderBy('manifest_uri')
    .execute()
  return withRepositories(database, rows)
}

/** The blobs that a manifest names are remembered as removed on account of a subject. */
export async function insertRemovedBlobs(
  database: Tables,
  subject: string,
  manifestUri: string,
): Promise<void> {
  await database
    .insertInto('removed_blobs')
    .columns(['subject', 'digest'])
    .expression((from) =>
      from
        .selectFrom('layers')
        .select((select) => [select.val(subject).as('subject'), 'digest'])
        .where('manifest_uri', '=', manifestUri),
    )
    .onConflict((conflict) => conflict.columns(['subject', 'digest']).doNothing())
    .execute()
}

/** On account of which subjects layer records of a blob were removed. */
export async function listRemovalsOf(database: Kysely<BookkeepingTables>, digest: string): Promise<string[]> {
  const rows = await database
    .selectFrom('removed_blobs')
    .select('subject')
    .where('digest', '=', digest)
    .execute()
  return rows.map(({ subject }) => subject)
}

export async function deleteManifestRepositories(
  database: Kysely<BookkeepingTables>,
  manifestUris: readonly string[],
): Promise<void> {
  await database.deleteFrom('manifest_repositories').where('manifest_uri', 'in', manifestUris).execute()
}

/** A page of manifests whose repositories are noted though no layer names them any more, after `cursor`. */
export async function listForgottenManifests(
  database: Tables,
  page: { cursor: string; limit: number },
): Promise<{ forgotten: string[]; cursor: string | undefined }> {
  const rows = await database
    .selectFrom('manifest_repositories')
    .leftJoin('layers', 'layers.manifest_uri', 'manifest_repositories.manifest_uri')
    .select(['manifest_repositories.manifest_uri as uri', 'layers.rkey as rkey'])
    .where('manifest_repositories.manifest_uri', '>', page.cursor)
    .orderBy('manifest_repositories.manifest_uri')
    .limit(page.limit)
    .execute()
  const forgotten = rows.filter(({ rkey }) => rkey === null).map(({ uri }) => uri)
  return { forgotten, cursor: rows.length < page.limit ? undefined : rows.at(-1)?.uri }
}

const manifestsPerQueryMax = 200

async function withRepositories(
  database: Kysely<BookkeepingTables>,
  rows: readonly { manifest_uri: string; user_did: string }[],
): Promise<NamingManifest[]> {
  const repositories = new Map<string, string[]>()
  for (let start = 0; start < rows.length; start += manifestsPerQueryMax) {
    const uris = rows.slice(start, start + manifestsPerQueryMax).map(({ manifest_uri }) => manifest_uri)
    const found = await database.selectFrom('manifest_repositories').selectAll().where('manifest_uri', 'in', uris).execute() // prettier-ignore
    for (const { manifest_uri, repository } of found) {
      repositories.set(manifest_uri, [...(repositories.get(manifest_uri) ?? []), repository])
    }
  }
  return rows.map((row) => ({
    manifestUri: row.manifest_uri,
    userDid: row.user_did,
    repositories: repositories.get(row.manifest_uri) ?? [],
  }))
}
