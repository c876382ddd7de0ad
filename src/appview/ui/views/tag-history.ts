import type { Digest } from '../../../protocol/oci/digest.ts'
import { isTag } from '../../../protocol/oci/reference.ts'
import { findShownManifests, findShownOfOwner, findShownTag, hidesManifests } from '../../db/listings.ts'
import { findManifests } from '../../db/manifests.ts'
import { listTagMoves, type TagMove } from '../../db/tag-moves.ts'
import { manifestPath, tagPath } from './manifest-page.ts'
import { describeManifests, type ManifestView } from './manifest.ts'
import type { OwnerView, ViewNeeds } from './owner.ts'
import type { ShownRepository } from './shown-repository.ts'

/** A tag's move, as it was seen. */
export interface TagMoveView {
  /** Revision of the commit in the owner's data repo. */
  rev: string
  movedAt: Date
  /** Undefined when the tag was deleted. */
  target: { digest: Digest; path: string | undefined; manifest: ManifestView | undefined } | undefined
  /** What changed since the move before; undefined where there is nothing to compare. */
  diffPath: string | undefined
}

export interface TagHistoryView {
  owner: OwnerView
  name: string
  repositoryPath: string
  path: string
  tag: string
  /** Where it points now; undefined when it was deleted. */
  digest: Digest | undefined
  /** The tag's own page, while there is one. */
  tagPath: string | undefined
  moves: TagMoveView[]
  /** Of the page with older moves. */
  olderPath: string | undefined
  /** Whether there are newer moves than these. */
  isContinued: boolean
  now: Date
}

const movesPerPage = 40

/** How a tag moved; undefined when nothing is known of such a tag that may be told. */
export async function viewTagHistory(
  needs: ViewNeeds,
  shown: ShownRepository,
  { before, tag }: { tag: string; before: string | undefined },
): Promise<TagHistoryView | undefined> {
  if (!isTag(tag)) return undefined
  const { db, viewer } = needs
  const { key, owner, path: repositoryPath } = shown
  const mark = before !== undefined && /^[2-7a-z]{1,13}$/.test(before) ? before : undefined
  const current = await findShownTag(db, key, { tag, viewer })
  const found = await listTagMoves(db, key, tag, { limit: movesPerPage + 1, before: mark })
  const moves = await viewMoves(needs, shown, found.slice(0, movesPerPage))
  if (current === undefined && moves.length === 0) return undefined
  const path = `${repositoryPath}/-/history/${tag}`
  return {
    owner,
    name: key.name,
    repositoryPath,
    path,
    tag,
    digest: current?.digest,
    tagPath: current && tagPath(repositoryPath, tag),
    moves,
    olderPath: found.length > movesPerPage ? `${path}?before=${found[movesPerPage - 1]?.rev}` : undefined,
    isContinued: mark !== undefined,
    now: needs.now(),
  }
}

/**
 * The moves that may be told of. What a tag pointed to is told when it may be seen, and when it is gone from a repository
 * that hides nothing from who looks: of what is gone nobody can say any more whose eyes it was for.
 */
async function viewMoves(
  { db, viewer }: ViewNeeds,
  { key, path }: ShownRepository,
  moves: readonly TagMove[],
): Promise<TagMoveView[]> {
  const named = moves
    .flatMap((move) => [move.digest, move.previousDigest])
    .filter((digest) => digest !== undefined)
  const digests = [...new Set(named)]
  const here = await findShownManifests(db, key, { digests, viewer })
  const elsewhere = await findShownOfOwner(db, key.ownerDid, { digests, viewer })
  const known = await findManifests(db, key.ownerDid, digests)
  const tellsGone = !(await hidesManifests(db, key, viewer))
  const isTold = (digest: Digest) =>
    here.has(digest) || elsewhere.has(digest) || (tellsGone && !known.has(digest))
  const manifests = await describeManifests(db, key, [...here])
  return moves.flatMap(({ digest, movedAt, previousDigest, rev }): TagMoveView[] => {
    const subject = digest ?? previousDigest
    if (subject === undefined ? !tellsGone : !isTold(subject)) return []
    const isBoth =
      digest !== undefined && previousDigest !== undefined && here.has(digest) && here.has(previousDigest)
    return [
      {
        rev,
        movedAt: new Date(movedAt),
        target: digest && {
          digest,
          path: here.has(digest) ? manifestPath(path, digest) : undefined,
          manifest: manifests.get(digest),
        },
        diffPath: isBoth ? `${path}/-/diff?from=${previousDigest}&to=${digest}` : undefined,
      },
    ]
  })
}
