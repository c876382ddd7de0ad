import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from './schema.ts'

/** Up to which commit an account's whole data repo is accounted for. */
export interface RepoRevs {
  /** The repo was read as of this commit: what older ones say is in the rows, or was undone. */
  readRev: string | undefined
  /** The account was deleted: no commit up to here may come back. */
  forgottenRev: string | undefined
}

export async function findRepoRevs(db: AppViewDb, did: Did): Promise<RepoRevs> {
  const row = await db
    .selectFrom('repo_revs')
    .select(['read_rev', 'forgotten_rev'])
    .where('did', '=', did)
    .executeTakeFirst()
  return { readRev: row?.read_rev ?? undefined, forgottenRev: row?.forgotten_rev ?? undefined }
}

/** Whether a commit is one that the whole repo was read after, or forgotten after. */
export function isAccountedFor({ readRev, forgottenRev }: RepoRevs, rev: string): boolean {
  return (readRev !== undefined && rev <= readRev) || isForgotten({ forgottenRev }, rev)
}

export function isForgotten({ forgottenRev }: Pick<RepoRevs, 'forgottenRev'>, rev: string): boolean {
  return forgottenRev !== undefined && rev <= forgottenRev
}

/** Notes that a repo was read as of `rev`; an older reading changes nothing. */
export async function putReadRev(db: AppViewDb, did: Did, rev: string): Promise<void> {
  await db
    .insertInto('repo_revs')
    .values({ did, read_rev: rev, forgotten_rev: null })
    .onConflict((conflict) =>
      conflict
        .column('did')
        .doUpdateSet({ read_rev: rev })
        .where((eb) => eb.or([eb('repo_revs.read_rev', 'is', null), eb('repo_revs.read_rev', '<', rev)])),
    )
    .execute()
}

/** Notes that an account was deleted: commits up to `rev` are never applied again. */
export async function putForgottenRev(db: AppViewDb, did: Did, rev: string): Promise<void> {
  await db
    .insertInto('repo_revs')
    .values({ did, read_rev: null, forgotten_rev: rev })
    .onConflict((conflict) =>
      conflict
        .column('did')
        .doUpdateSet({ forgotten_rev: rev })
        .where((eb) =>
          eb.or([eb('repo_revs.forgotten_rev', 'is', null), eb('repo_revs.forgotten_rev', '<', rev)]),
        ),
    )
    .execute()
}
