import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import type { Descriptor } from '../../protocol/oci/descriptor.ts'
import { digestAlgorithm, digestOfBytes, type Digest } from '../../protocol/oci/digest.ts'
import { parseManifest, type Manifest as ParsedManifest } from '../../protocol/oci/manifest.ts'
import { isNonDistributable } from '../../protocol/oci/media-types.ts'
import type { Reference, Tag } from '../../protocol/oci/reference.ts'
import { renewUntagged, untaggedDueAt } from '../db/untagged-manifests.ts'
import { removeUntagged, type UntaggedRound } from './untagged-removal.ts'
import { findManifests, type Manifest } from '../db/manifests.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import * as metrics from '../metrics.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'
import type { Blobs } from './blobs.ts'
import type { Holds } from './holds.ts'
import { ManifestCommits } from './manifest-commits.ts'
import type { ManifestLookup } from './manifest-lookup.ts'
import type { ManifestStore } from './manifest-store.ts'
import { deleteReference } from './manifest-deletion.ts'
import type { PushEvents } from './push-events.ts'

/** A manifest to be put. */
export interface NewManifest {
  repository: RepositoryKey
  writer: Did
  reference: Reference
  /** Tags to set besides the reference (`?tag=`, distribution spec 1.1+dev). */
  tags: readonly Tag[]
  bytes: Uint8Array
  contentType: string | undefined
}

/** What became of a manifest that was put. */
export interface PutManifest {
  digest: Digest
  subject: Digest | undefined
  missing: readonly Digest[]
}

interface ChosenHold {
  holdDid: Did
  missing: readonly Digest[]
}

/** A manifest with its exact bytes. */
export interface ServedManifest {
  digest: Digest
  mediaType: string
  /** Where its layers are; undefined when its record does not say. */
  holdDid: Did | undefined
  bytes: Uint8Array
}

interface Needs {
  db: AppViewDb
  pds: PdsManifests
  lookup: ManifestLookup
  store: ManifestStore
  blobs: Pick<Blobs, 'findLinked'>
  holds: Pick<Holds, 'pushHold' | 'currentHold' | 'checkWrite' | 'canRead'>
  /** Whether an image may name layers that are not here. */
  allowsSparseImages: boolean
  pushEvents: Pick<PushEvents, 'note' | 'tell'>
  /** Called after a push is acknowledged in the database: there is something to tell a hold. */
  onNotification: () => void
  now: Now
}

const log = logger('appview:manifests')

/** Manifests and tags of repositories: the record in the owner's PDS is the truth, the index follows at once. */
export class Manifests {
  readonly #needs: Needs
  readonly #commits: ManifestCommits

  constructor(needs: Needs) {
    this.#needs = needs
    this.#commits = new ManifestCommits(needs)
  }

  /** The manifest a reference names, for whom its hold shows what it keeps; `undefined` for everyone else. */
  async find(
    repository: RepositoryKey,
    reference: Reference,
    reader: Did | undefined,
  ): Promise<ServedManifest | undefined> {
    const manifest = await this.findRow(repository, reference, reader, { withBytes: true })
    if (manifest === undefined) return undefined
    const bytes = await this.#needs.lookup.findBytes(manifest)
    const { digest, mediaType, holdDid } = manifest
    return bytes && { digest, mediaType, holdDid, bytes }
  }

  /** The same without the bytes. */
  async findRow(
    repository: RepositoryKey,
    reference: Reference,
    reader: Did | undefined,
    options: { withBytes?: boolean } = {},
  ): Promise<Manifest | undefined> {
    const { lookup, holds } = this.#needs
    const digest = await lookup.findDigest(repository, reference)
    const manifest = digest && (await lookup.find(repository, digest, options))
    if (manifest === undefined) return undefined
    const isReadable = manifest.holdDid === undefined || (await holds.canRead(manifest.holdDid, reader))
    return isReadable ? manifest : undefined
  }

  /**
   * Validates, commits the records, applies them to the index, and queues the hold's notification. `missing` is what the
   * manifest names and nobody pushed here, where that is allowed: platforms of an index, layers of a sparse image.
   * @throws {AppViewError} `digest_mismatch`, `manifest_blob_missing`, `size_invalid`, `not_crew`, and PDS failures
   * @throws {OciError} for a manifest that is none
   */
  async put(wanted: NewManifest): Promise<PutManifest> {
    const startedAtMs = performance.now()
    const { repository, writer, reference, bytes } = wanted
    const manifest = parseManifest(bytes, wanted.contentType)
    const algorithm = reference.kind === 'digest' ? digestAlgorithm(reference.digest) : 'sha256'
    const digest = digestOfBytes(bytes, algorithm)
    if (reference.kind === 'digest' && reference.digest !== digest) {
      throw new AppViewError('digest_mismatch', 'the manifest does not have this digest')
    }
    const { db, now } = this.#needs
    const identity = { ownerDid: repository.ownerDid, digest }
    await renewUntagged(db, identity, untaggedDueAt(now().toISOString()))
    const { holdDid, missing } = await this.#chooseHold(repository, writer, manifest)
    await this.#needs.holds.checkWrite(holdDid, writer)
    const named = reference.kind === 'tag' ? [reference.tag] : []
    const tags = [...new Set([...named, ...wanted.tags])]
    await this.#commits.write({
      ownerDid: repository.ownerDid,
      repository: repository.name,
      writer,
      digest,
      manifest,
      bytes,
      holdDid,
      tags,
      now: this.#needs.now(),
    })
    this.#needs.onNotification()
    metrics.manifestPushes.inc()
    const durationMs = Math.round(performance.now() - startedAtMs)
    log.info(
      {
        account: writer,
        repository: `${repository.ownerDid}/${repository.name}`,
        tags,
        digest,
        bytes: bytes.byteLength,
        hold: holdDid,
        durationMs,
      },
      "push: a manifest was registered in its owner's data repo",
    )
    return { digest, subject: manifest.subject?.digest, missing }
  }

  /**
   * Deletes a tag, or a manifest with the tags that name it; false when it was not there.
   * @throws {AppViewError} PDS failures
   */
  async delete(repository: RepositoryKey, reference: Reference): Promise<boolean> {
    return this.#commits.alone(repository.ownerDid, () => deleteReference(this.#needs, repository, reference))
  }

  /**
   * Removes what tags have left and nothing of the owner's needs, as {@link removeUntagged}, while no push of his is
   * being committed here. @throws {AppViewError} PDS failures
   */
  removeUntagged(ownerDid: Did): Promise<UntaggedRound> {
    return this.#commits.alone(ownerDid, () => removeUntagged(this.#needs, ownerDid))
  }

  /** The hold whose blobs a manifest names; checks that they are there and as long as it says. */
  async #chooseHold(repository: RepositoryKey, writer: Did, manifest: ParsedManifest): Promise<ChosenHold> {
    const { blobs, holds } = this.#needs
    const needed = [manifest.config, ...manifest.layers].filter(
      (descriptor) => descriptor !== undefined && !isElsewhere(descriptor),
    ) as Descriptor[]
    if (needed.length === 0) return this.#holdOfIndex(repository, manifest)
    const links = await blobs.findLinked(
      repository,
      needed.map((descriptor) => descriptor.digest),
      writer,
    )
    const holdDids = new Set([...links.values()].map((link) => link.holdDid))
    const [only] = holdDids
    // Blobs on two holds: the owner changed his default between them. One manifest has one hold, so the
    // client is told to upload the rest again.
    // Nor does a new manifest name a hold that was succeeded, even where the successor lacks its blobs so far.
    const isSettled = only !== undefined && holdDids.size === 1 && (await holds.currentHold(only)) === only
    const holdDid = isSettled ? only : await holds.pushHold(repository.ownerDid)
    const absent = needed.filter(({ digest }) => links.get(digest)?.holdDid !== holdDid)
    const missing = [...new Set(absent.map(({ digest }) => digest))]
    if (missing.length > 0 && !this.#needs.allowsSparseImages) {
      throw new AppViewError(
        'manifest_blob_missing',
        'the manifest names blobs that are not in the repository',
        {
          detail: { digests: missing },
        },
      )
    }
    const wrong = needed.find(
      ({ digest, sizeBytes }) => (links.get(digest)?.sizeBytes ?? sizeBytes) !== sizeBytes,
    )
    if (wrong !== undefined) {
      throw new AppViewError('size_invalid', `blob ${wrong.digest} is not ${wrong.sizeBytes} bytes long`)
    }
    return { holdDid, missing }
  }

  /** An index keeps no blobs; it lives where its manifests do, so that one hold's readers see both. */
  async #holdOfIndex(repository: RepositoryKey, manifest: ParsedManifest): Promise<ChosenHold> {
    const digests = manifest.manifests.map(({ digest }) => digest).slice(0, 500)
    const children = await findManifests(this.#needs.db, repository.ownerDid, digests)
    const holdDids = new Set([...children.values()].map((child) => child.holdDid))
    const [only] = holdDids
    const { holds } = this.#needs
    const holdDid =
      only !== undefined && holdDids.size === 1
        ? await holds.currentHold(only)
        : await holds.pushHold(repository.ownerDid)
    return { holdDid, missing: digests.filter((digest) => !children.has(digest)) }
  }
}

/** Layers that clients never push: by their type, or because they say where else they are. */
function isElsewhere({ mediaType, urls }: Descriptor): boolean {
  return isNonDistributable(mediaType) || (urls !== undefined && urls.length > 0)
}
