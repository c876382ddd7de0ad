import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import {
  findManifestOfOwner,
  findManifests,
  listManifestLinks,
  listReferrers,
  type Manifest,
} from '../db/manifests.ts'
import { findSailorProfile } from '../db/sailor-profiles.ts'
import type { AppViewDb } from '../db/schema.ts'
import {
  isTagged,
  listDueUntagged,
  listIndexesOf,
  noteUntagged,
  untaggedDueAt,
  type UntaggedManifest,
} from '../db/untagged-manifests.ts'
import { AppViewError } from '../errors.ts'
import { deleteManifests, type DeletionNeeds } from './manifest-deletion.ts'

/** Records that one commit deletes; what is more waits for the next. */
const removalCountMax = 150
const referrerCountMax = 100
const digestPageSize = 500

/** What was looked at, and may be taken off the list; how much went. */
export interface UntaggedRound {
  seen: readonly UntaggedManifest[]
  removedCount: number
}

/** What goes, and the records of an owner as they stood when that was decided. */
interface Plan {
  db: AppViewDb
  ownerDid: Did
  /** Digests that tags in the owner's PDS name, known to the index or not. */
  tagged: ReadonlySet<Digest>
  removals: Map<Digest, Manifest>
}

/**
 * Deletes those of an owner's manifests that are due and that nothing needs: no tag in any of his repositories, no index
 * that is there, no subject that is there. Referrers of what goes, go along. What an index listed that goes is looked at
 * later, in its own time.
 *
 * The PDS is asked for its tags and told to take the commit only if nothing was written since: a push by whichever
 * registry in between makes it fail, and the next try sees what was pushed. Nor does anything go while the PDS has
 * manifests that the index has not heard of: they may be indexes, or signed.
 * @throws {AppViewError} PDS failures, `pds_conflict` among them
 */
export async function removeUntagged(needs: DeletionNeeds, ownerDid: Did): Promise<UntaggedRound> {
  const { db, now, pds } = needs
  const page = { ownerDid, now: now().toISOString(), limit: removalCountMax }
  if ((await findSailorProfile(db, ownerDid))?.autoRemoveUntagged !== true) {
    return { seen: await listDueUntagged(db, page), removedCount: 0 }
  }
  const head = await pds.getHead(ownerDid)
  const plan: Plan = { db, ownerDid, tagged: await pds.listTagged(ownerDid), removals: new Map() }
  const seen: UntaggedManifest[] = []
  // Read now that no push of this owner's is under way here: one may have wanted them a moment ago.
  for (const due of await listDueUntagged(db, page)) {
    if (plan.removals.size >= removalCountMax) break
    const manifest = await findManifestOfOwner(db, ownerDid, due.digest)
    if (manifest !== undefined && !(await isNeeded(plan, manifest))) await add(plan, manifest)
    seen.push(due)
  }
  const removals = [...plan.removals.values()]
  if (removals.length === 0) return { seen, removedCount: 0 }
  await assertAllKnown(db, ownerDid, await pds.listManifests(ownerDid))
  const children = await childrenOf(plan, removals)
  await deleteManifests(needs, ownerDid, removals, { swapCommit: head })
  await noteUntagged(db, ownerDid, children, untaggedDueAt(now().toISOString()))
  return { seen, removedCount: removals.length }
}

/** @throws {AppViewError} `pds_conflict` when the index is behind what the PDS has */
async function assertAllKnown(db: AppViewDb, ownerDid: Did, digests: ReadonlySet<Digest>): Promise<void> {
  const all = [...digests]
  for (let start = 0; start < all.length; start += digestPageSize) {
    const page = all.slice(start, start + digestPageSize)
    const known = await findManifests(db, ownerDid, page)
    if (known.size === page.length) continue
    throw new AppViewError('pds_conflict', `${ownerDid} has manifests that the index has not heard of yet`)
  }
}

async function isNeeded(plan: Plan, { digest, subjectDigest }: Manifest): Promise<boolean> {
  const { db, ownerDid, removals, tagged } = plan
  if (tagged.has(digest) || (await isTagged(db, ownerDid, digest))) return true
  const indexes = await listIndexesOf(db, ownerDid, digest)
  if (indexes.some((index) => !removals.has(index))) return true
  // A signature belongs to what it signs.
  if (subjectDigest === undefined || removals.has(subjectDigest)) return false
  return (await findManifestOfOwner(db, ownerDid, subjectDigest)) !== undefined
}

async function add(plan: Plan, manifest: Manifest): Promise<void> {
  const { db, ownerDid, removals } = plan
  if (removals.size >= removalCountMax || removals.has(manifest.digest)) return
  removals.set(manifest.digest, manifest)
  for (const referrer of await listReferrers(db, ownerDid, manifest.digest, { limit: referrerCountMax })) {
    if (!(await isNeeded(plan, referrer))) await add(plan, referrer)
  }
}

/** What the indexes among them listed, and is there. */
async function childrenOf({ db, ownerDid, removals }: Plan, removed: readonly Manifest[]): Promise<Digest[]> {
  const children = new Set<Digest>()
  for (const { digest } of removed) {
    for (const { kind, targetDigest } of await listManifestLinks(db, ownerDid, digest)) {
      if (kind === 'manifest' && !removals.has(targetDigest)) children.add(targetDigest)
    }
  }
  return [...children]
}
