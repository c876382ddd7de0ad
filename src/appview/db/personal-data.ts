import { sql } from 'kysely'

import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb, AppViewTables } from './schema.ts'

/** How rows of a table belong to an account. */
interface Share {
  /**
   * `own`: only this registry has it. `tokens`: so it is with these, and they are of use until all else is deleted.
   * `index`: it follows from what is public on the network.
   */
  group: 'own' | 'tokens' | 'index'
  /** The column with the account's DID; with `of`, the one that names a row of that table. */
  column: string
  of?: 'webhooks' | 'uploads'
  /** Orders the account's rows. */
  key: readonly string[]
  /** Columns that prove who somebody is: in no export. */
  secrets?: readonly string[]
}

const own = (column: string, key: readonly string[], secrets: readonly string[] = []): Share => ({
  group: 'own',
  column,
  key,
  secrets,
})
const index = (column: string, key: readonly string[]): Share => ({ group: 'index', column, key })

/**
 * What every table has of an account; null where there is nothing, or what there is follows by itself. Those that hang on
 * another table come before it.
 */
const shares: Record<keyof AppViewTables, readonly Share[] | null> = {
  web_sessions: [own('did', ['id'], ['token_hash', 'previous_hash', 'form_secret'])],
  device_grants: [own('did', ['device_code_hash'], ['device_code_hash', 'user_code_hash'])],
  devices: [own('did', ['id'], ['secret_hash'])],
  refresh_tokens: [own('did', ['token_hash'], ['token_hash', 'password_hash'])],
  app_password_sessions: [
    { group: 'tokens', column: 'did', key: ['password_hash'], secrets: ['password_hash', 'sealed'] },
  ],
  oauth_sessions: [{ group: 'tokens', column: 'did', key: ['did'], secrets: ['sealed'] }],
  webhook_deliveries: [{ ...own('webhook_id', ['id']), of: 'webhooks' }],
  webhooks: [own('owner_did', ['id'], ['sealed'])],
  upload_parts: [{ ...own('upload_id', ['upload_id', 'part_number'], ['etag']), of: 'uploads' }],
  uploads: [own('account_did', ['id'], ['hold_upload_id', 'tail'])],
  hold_notifications: [own('account_did', ['id'])],
  pull_days: [own('owner_did', ['repository', 'day'])],

  record_revs: [index('did', ['collection', 'rkey'])],
  repo_revs: [index('did', ['did'])],
  manifest_links: [index('owner_did', ['digest', 'position'])],
  manifest_repositories: [index('owner_did', ['repository', 'digest'])],
  manifests: [index('owner_did', ['digest'])],
  tag_moves: [index('owner_did', ['rkey', 'rev'])],
  tags: [index('owner_did', ['repository', 'tag'])],
  untagged_manifests: [index('owner_did', ['digest'])],
  blob_links: [index('owner_did', ['repository', 'digest'])],
  repo_pages: [index('owner_did', ['rkey'])],
  repositories: [index('owner_did', ['name'])],
  sailor_profiles: [index('did', ['did'])],
  stars: [index('sailor_did', ['rkey'])],
  hold_crew: [index('member_did', ['hold_did', 'rkey'])],
  hold_stats: [index('owner_did', ['hold_did', 'rkey'])],
  scans: [index('owner_did', ['hold_did', 'rkey'])],
  actor_profiles: [index('did', ['did'])],
  backfill_repos: [index('did', ['did'])],
  former_handles: [index('did', ['handle'])],
  identities: [index('did', ['did'])],

  // A hold names its captain; that is about the hold, and others keep images there.
  holds: null,
  // Of holds, not of people.
  hold_health: null,
  // By what they contain; any number of accounts may have the same.
  manifest_bytes: null,
  config_bytes: null,
  // Logins under way name nobody, and are over in minutes; so are locks.
  oauth_states: null,
  leases: null,
  cursors: null,
  // Deletions under way: they forget whose they are as their last act.
  data_deletions: null,
  // They follow the rows above, by triggers and the job that reads what those note.
  search_changes: null,
  search_documents: null,
  search_words: null,
  search_trigrams: null,
}

/** The tables that have rows of accounts, for those who make sure that none is forgotten. */
export const personalTables: readonly string[] = Object.entries(shares).flatMap(([table, share]) =>
  share === null ? [] : [table],
)

const pageSize = 500
const parentDids = { webhooks: 'owner_did', uploads: 'account_did' } as const

/** All rows of an account but for secrets, table by table, a page at a time. */
export async function* listPersonalRows(
  db: AppViewDb,
  did: Did,
): AsyncGenerator<{ table: string; rows: Record<string, unknown>[] }, void, undefined> {
  for (const [table, ofTable] of Object.entries(shares)) {
    for (const share of ofTable ?? []) {
      for (let after: unknown[] | undefined; ;) {
        const rows = await listPage(db, { table, share, did, after })
        if (rows.length === 0) break
        const last = rows.at(-1) as Record<string, unknown>
        after = share.key.map((column) => last[column])
        yield { table, rows: rows.map((row) => withoutSecrets(row, share)) }
        if (rows.length < pageSize) break
      }
    }
  }
}

/** Deletes what only this registry has of an account, but for tokens; `db` a transaction. */
export function deleteOwnRows(db: AppViewDb, did: Did): Promise<void> {
  return deleteGroup(db, did, 'own')
}

/** Deletes what is here of an account's public records, down to the note that they were there; `db` a transaction. */
export function deleteIndexRows(db: AppViewDb, did: Did): Promise<void> {
  return deleteGroup(db, did, 'index')
}

/** The holds that may keep something of an account: those its own records and uploads name, then those that name it. */
export async function listHoldsOf(db: AppViewDb, did: Did, limit: number): Promise<Did[]> {
  const { rows } = await sql<{ hold_did: Did | null }>`
    select hold_did, min(place) as place from (
      select hold_did, 0 as place from manifests where owner_did = ${did}
      union select default_hold_did, 0 from sailor_profiles where did = ${did}
      union select hold_did, 0 from blob_links where owner_did = ${did}
      union select hold_did, 0 from uploads where account_did = ${did}
      union select hold_did, 1 from hold_crew where member_did = ${did}
      union select hold_did, 2 from hold_stats where owner_did = ${did}
      union select hold_did, 2 from scans where owner_did = ${did}
    ) as named where hold_did is not null
    group by hold_did order by place, hold_did limit ${limit}`.execute(db)
  return rows.flatMap((row) => row.hold_did ?? [])
}

async function deleteGroup(db: AppViewDb, did: Did, group: Share['group']): Promise<void> {
  for (const [table, ofTable] of Object.entries(shares)) {
    for (const share of ofTable ?? []) {
      if (share.group !== group) continue
      await sql`delete from ${sql.table(table)} where ${isOf(share, did)}`.execute(db)
    }
  }
}

async function listPage(
  db: AppViewDb,
  { after, did, share, table }: { table: string; share: Share; did: Did; after: unknown[] | undefined },
): Promise<Record<string, unknown>[]> {
  const key = sql.join(share.key.map((column) => sql.ref(column)))
  const isAfter = after === undefined ? sql`1 = 1` : sql`(${key}) > (${sql.join(after)})`
  const { rows } = await sql<Record<string, unknown>>`
    select * from ${sql.table(table)} where ${isOf(share, did)} and ${isAfter} order by ${key} limit ${pageSize}
  `.execute(db)
  return rows
}

function isOf({ column, of }: Share, did: Did) {
  if (of === undefined) return sql`${sql.ref(column)} = ${did}`
  return sql`${sql.ref(column)} in (select id from ${sql.table(of)} where ${sql.ref(parentDids[of])} = ${did})`
}

function withoutSecrets(row: Record<string, unknown>, { secrets = [] }: Share): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([column]) => !secrets.includes(column)))
}
