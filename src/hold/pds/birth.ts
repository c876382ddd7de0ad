import type { Secp256k1Keypair } from '@atproto/crypto'
import { Repo } from '@atproto/repo'

import type { Did } from '../../atproto/syntax.ts'
import { assert } from '../../lib/assert.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import type { PdsTables, RepoHeadRow } from '../db/pds-tables.ts'
import { insertBlocks } from '../db/repo-blocks.ts'
import { insertEvents } from '../db/repo-events.ts'
import { insertHead } from '../db/repo-head.ts'
import { syncBody } from './frames.ts'
import type { RepoStore } from './repo-store.ts'
import { Sequencer } from './sequencer.ts'

/** Makes an empty, signed data repo, and the events that tell the network of the account: identity, account, sync. */
export async function createRepo(
  options: { database: Database<PdsTables>; did: Did; signingKey: Secp256k1Keypair; now: Now },
  store: RepoStore,
): Promise<RepoHeadRow> {
  const { database, did, signingKey, now } = options
  const commit = await Repo.formatInitCommit(store, did, signingKey)
  const bytes = commit.newBlocks.get(commit.cid)
  assert(bytes !== undefined, 'a commit brings its own block')
  const rows = new Sequencer({ database, now, newestSeq: 0 }).number([
    { kind: 'identity', body: { did } },
    { kind: 'account', body: { did, active: true } },
    { kind: 'sync', body: await syncBody(did, commit.rev, commit.cid, bytes) },
  ])
  const head = { did, commit_cid: commit.cid.toString(), rev: commit.rev, last_seq: rows.length }
  await database.transaction().execute(async (transaction) => {
    await insertHead(transaction, head)
    await insertEvents(transaction, rows)
    const added = [...commit.newBlocks].map(([cid, block]) => ({ cid: cid.toString(), bytes: block }))
    await insertBlocks(transaction, commit.rev, added)
  })
  return head
}
