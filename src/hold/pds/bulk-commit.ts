import { setImmediate } from 'node:timers/promises'

import type { Secp256k1Keypair } from '@atproto/crypto'
import { BlockMap, DataDiff, signCommit, type CommitData, type Repo } from '@atproto/repo'

import { nextTid } from '../../atproto/syntax.ts'
import { assert } from '../../lib/assert.ts'
import type { PlannedWrite } from './write-plan.ts'

/** Writes after which others get their turn: those of the library never wait for anything but the database. */
const writesPerTurn = 100

/** A commit of any number of writes, without the proofs for a `#commit` event: consumers of a `#sync` read anew. */
export async function formatBulkCommit(
  repo: Repo,
  plan: readonly PlannedWrite[],
  signingKey: Secp256k1Keypair,
): Promise<CommitData> {
  let { data } = repo
  const records = new BlockMap()
  for (const [index, { action, collection, rkey, record }] of plan.entries()) {
    const key = `${collection}/${rkey}`
    if (record !== undefined) records.set(record.cid, record.bytes)
    if (action === 'create' && record !== undefined) data = await data.add(key, record.cid)
    if (action === 'update' && record !== undefined) data = await data.update(key, record.cid)
    if (action === 'delete') data = await data.delete(key)
    if (index % writesPerTurn === 0) await setImmediate()
  }
  const diff = await DataDiff.of(data, repo.data)
  const added = records.getMany(diff.newLeafCids.toList())
  assert(added.missing.length === 0, 'every new leaf of the tree is a record of the plan')
  const blocks = new BlockMap()
  blocks.addMap(diff.newMstBlocks)
  blocks.addMap(added.blocks)
  const rev = nextTid(repo.commit.rev)
  const unsigned = { did: repo.did, version: 3 as const, rev, prev: null, data: await data.getPointer() }
  const cid = await blocks.add(await signCommit(unsigned, signingKey))
  diff.removedCids.add(repo.cid)
  return {
    cid,
    rev,
    since: repo.commit.rev,
    prev: repo.cid,
    newBlocks: blocks,
    relevantBlocks: blocks,
    removedCids: diff.removedCids,
  }
}
