import type { Secp256k1Keypair } from '@atproto/crypto'
import { TID } from '@atproto/common-web'
import { getFullRepo, MemoryBlockstore, Repo, WriteOpAction, type RecordCreateOp } from '@atproto/repo'

import { collectBytes } from '../../src/lib/streams.ts'
import { digestOf } from './test-hold.ts'

/*
 * What a hold of an earlier generation left behind: records of the shapes that were written before captains had a
 * successor and a region, crew a key that follows from the member, and layers the address of their manifest. Written by
 * hand, and put into a data repo by the library of the protocol's authors, so that nothing here comes from our own code.
 */

const firstTidMs = Date.parse('2025-03-01T00:00:00Z')
let tidCount = 0

/** As old holds gave to crew, layers and counters alike. */
export function nextOldTid(): string {
  tidCount += 1
  return TID.fromTime((firstTidMs + tidCount) * 1000, 7).toString()
}

export interface OldRecord {
  collection: string
  rkey: string
  record: Record<string, unknown>
}

/** Before there were posts, open crews, regions and successors. */
export function oldCaptain(owner: string): OldRecord {
  const record = { owner, public: false, deployedAt: '2025-03-01T00:00:00Z', provider: 'a provider' }
  return { collection: 'io.atcr.hold.captain', rkey: 'self', record }
}

/** Before there were tiers. */
export function oldCrew(member: string, permissions: string[], role = 'member'): OldRecord {
  const record = { member, role, permissions, addedAt: '2025-03-01T00:00:00Z' }
  return { collection: 'io.atcr.hold.crew', rkey: nextOldTid(), record }
}

/** Names a repository, where today's layers name a manifest. */
export function oldLayer(userDid: string, repository: string, bytes: Buffer): OldRecord {
  const record = {
    digest: digestOf(bytes),
    size: bytes.length,
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    repository,
    userDid,
    userHandle: 'someone.test',
    createdAt: '2025-03-01T00:00:00Z',
  }
  return { collection: 'io.atcr.hold.layer', rkey: nextOldTid(), record }
}

/** Counters of a repository, under any key. */
export function oldStats(ownerDid: string, repository: string, pullCount: number): OldRecord {
  const record = { ownerDid, repository, pullCount, pushCount: 1, updatedAt: '2025-03-01T00:00:00Z' }
  return { collection: 'io.atcr.hold.stats', rkey: nextOldTid(), record }
}

/** A data repo with these records as a CAR file. */
export async function carOf(
  did: string,
  key: Secp256k1Keypair,
  records: readonly OldRecord[],
): Promise<Buffer> {
  const storage = new MemoryBlockstore()
  const writes = records.map(({ collection, rkey, record }): RecordCreateOp => ({
    action: WriteOpAction.Create,
    collection: collection as RecordCreateOp['collection'],
    rkey,
    record: { $type: collection, ...record } as RecordCreateOp['record'],
  }))
  const repo = await Repo.create(storage, did, key, writes)
  return Buffer.from(await collectBytes(getFullRepo(storage, repo.cid), 100_000_000))
}
