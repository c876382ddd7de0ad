import type { Digest } from '../../../protocol/oci/digest.ts'
import { listIndexesOf, sumBlobsByUse } from '../../db/deletion-effects.ts'
import { findShownTag, isManifestShown } from '../../db/listings.ts'
import { listManifestLinks, listReferrers, listRepositoriesOfManifest } from '../../db/manifests.ts'
import { listTagsOfManifest } from '../../db/tags.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import type { ViewNeeds } from './owner.ts'
import type { ShownRepository } from './shown-repository.ts'

/** A tag that is to go, and what it leaves behind. */
export interface TagToDelete {
  tag: string
  digest: Digest
  /** Other tags that stay on the same manifest; without any, it can be pulled by digest only. */
  otherTagCount: number
}

/** A manifest that is to go, and what goes or suffers with it. */
export interface ManifestToDelete {
  manifest: ManifestView
  /** They go along. */
  tags: string[]
  /** Indexes that go on listing it. */
  indexes: Digest[]
  /** Signatures and the like, which stay without what they are about. */
  referrers: ManifestView[]
  /** Manifests that it lists, which stay. */
  childCount: number
  /** Other repositories of the owner with the same manifest, which keep it. */
  otherRepositories: string[]
  /** What the hold may remove, and what other manifests need. */
  freedBytes: number
  sharedBytes: number
}

export interface DeletionView {
  path: string
  name: string
  tags: TagToDelete[]
  manifest: ManifestToDelete | undefined
}

/** Tags that can be chosen at once. */
export const tagCountMax = 100
const effectCountMax = 50

/** What deleting would mean; undefined where there is nothing of the kind any more. */
export async function viewDeletion(
  needs: ViewNeeds,
  repository: ShownRepository,
  chosen: { tags: readonly string[]; digest: Digest | undefined },
): Promise<DeletionView | undefined> {
  const { key, path } = repository
  const tags = await viewTags(needs, repository, chosen.tags.slice(0, tagCountMax))
  const manifest =
    chosen.digest === undefined ? undefined : await viewManifest(needs, repository, chosen.digest)
  if (tags.length === 0 && manifest === undefined) return undefined
  return { path, name: key.name, tags: manifest === undefined ? tags : [], manifest }
}

async function viewTags(
  { db, viewer }: ViewNeeds,
  { key }: ShownRepository,
  names: readonly string[],
): Promise<TagToDelete[]> {
  const chosen = new Set(names)
  const tags: TagToDelete[] = []
  for (const name of chosen) {
    const tag = await findShownTag(db, key, { tag: name, viewer })
    if (tag === undefined) continue
    const named = await listTagsOfManifest(db, key, tag.digest)
    const otherTagCount = named.filter((other) => !chosen.has(other)).length
    tags.push({ tag: name, digest: tag.digest, otherTagCount })
  }
  return tags
}

async function viewManifest(
  { db, viewer }: ViewNeeds,
  { key }: ShownRepository,
  digest: Digest,
): Promise<ManifestToDelete | undefined> {
  const { name, ownerDid } = key
  if (!(await isManifestShown(db, key, { digest, viewer }))) return undefined
  const manifest = (await describeManifests(db, key, [digest])).get(digest)
  if (manifest === undefined) return undefined
  const referrers = await listReferrers(db, ownerDid, digest, { repository: name, limit: effectCountMax })
  const referrerViews = await describeManifests(db, key, referrers.map((referrer) => referrer.digest)) // prettier-ignore
  const links = await listManifestLinks(db, ownerDid, digest)
  const holders = await listRepositoriesOfManifest(db, ownerDid, digest)
  const otherRepositories = holders.filter((holder) => holder !== name)
  const { ownBytes, sharedBytes } = await sumBlobsByUse(db, ownerDid, digest)
  const isKept = otherRepositories.length > 0
  return {
    manifest,
    tags: await listTagsOfManifest(db, key, digest),
    indexes: await listIndexesOf(db, key, digest, effectCountMax),
    referrers: [...referrerViews.values()],
    childCount: links.filter((link) => link.kind === 'manifest').length,
    otherRepositories,
    freedBytes: isKept ? 0 : ownBytes,
    sharedBytes: isKept ? ownBytes + sharedBytes : sharedBytes,
  }
}
