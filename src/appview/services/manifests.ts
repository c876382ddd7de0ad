import type { CommitResult } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { manifestRkey } from '../../protocol/lexicon/manifest-record.ts'
import { tagRkey } from '../../protocol/lexicon/tag-record.ts'
import type { Descriptor } from '../../protocol/oci/descriptor.ts'
import { digestAlgorithm, digestOfBytes, type Digest } from '../../protocol/oci/digest.ts'
import { parseManifest, type Manifest as ParsedManifest } from '../../protocol/oci/manifest.ts'
import { isNonDistributable } from '../../protocol/oci/media-types.ts'
import type { Reference, Tag } from '../../protocol/oci/reference.ts'
import { insertHoldNotification } from '../db/hold-notifications.ts'
import {
  findManifestOfOwner,
  findManifests,
  listRepositoriesOfManifest,
  type Manifest,
} from '../db/manifests.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { findTagOfRecord } from '../db/tag-records.ts'
import { findTag } from '../db/tags.ts'
import { AppViewError } from '../errors.ts'
import type { ManifestNotice } from '../ports/hold-notifier.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'
import { applyManifest } from '../read-model/manifest.ts'
import { applyTag } from '../read-model/tag.ts'
import type { Blobs } from './blobs.ts'
import type { Holds } from './holds.ts'
import { KeyLock } from './key-lock.ts'
import type { ManifestLookup } from './manifest-lookup.ts'
import type { ManifestStore } from './manifest-store.ts'
import { deleteReference } from './manifest-deletion.ts'
import {
  blobJson,
  recordOf,
  writeManifest,
  type KnownRecords,
  type WantedManifest,
  type WrittenManifest,
} from './manifest-writer.ts'

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

/** A manifest with its exact bytes. */
export interface ServedManifest {
  digest: Digest
  mediaType: string
  bytes: Uint8Array
}

interface Needs {
  db: AppViewDb
  pds: PdsManifests
  lookup: ManifestLookup
  store: ManifestStore
  blobs: Pick<Blobs, 'findLinked'>
  holds: Pick<Holds, 'pushHold' | 'checkWrite' | 'canRead'>
  /** Whether an image may name layers that are not here. */
  allowsSparseImages: boolean
  /** Called after a push is acknowledged in the database: there is something to tell a hold. */
  onNotification: () => void
  now: Now
}

/** Manifests and tags of repositories: the record in the owner's PDS is the truth, the index follows at once. */
export class Manifests {
  readonly #needs: Needs
  /** Commits of one account are serial at its PDS anyway. */
  readonly #writes = new KeyLock()

  constructor(needs: Needs) {
    this.#needs = needs
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
    return bytes && { digest: manifest.digest, mediaType: manifest.mediaType, bytes }
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
   * Validates, writes records in one commit, applies them to the index, and queues the hold's notification.
   * @throws {AppViewError} `digest_mismatch`, `manifest_blob_missing`, `size_invalid`, `not_crew`, and PDS failures
   * @throws {OciError} for a manifest that is none
   */
  async put(wanted: NewManifest): Promise<{ digest: Digest; subject: Digest | undefined }> {
    const { repository, writer, reference, bytes } = wanted
    const manifest = parseManifest(bytes, wanted.contentType)
    const algorithm = reference.kind === 'digest' ? digestAlgorithm(reference.digest) : 'sha256'
    const digest = digestOfBytes(bytes, algorithm)
    if (reference.kind === 'digest' && reference.digest !== digest) {
      throw new AppViewError('digest_mismatch', 'the manifest does not have this digest')
    }
    const holdDid = await this.#chooseHold(repository, writer, manifest)
    await this.#needs.holds.checkWrite(holdDid, writer)
    const named = reference.kind === 'tag' ? [reference.tag] : []
    const tags = [...new Set([...named, ...wanted.tags])]
    await this.#writes.run(repository.ownerDid, async () => {
      const known = await this.#known(repository, digest, tags)
      const { ownerDid, name } = repository
      const parts = {
        ownerDid,
        repository: name,
        digest,
        manifest,
        bytes,
        holdDid,
        tags,
        now: this.#needs.now(),
      }
      const written = await writeManifest(this.#needs.pds, parts, known)
      if (written.commit !== undefined) await this.#apply(written.commit, parts, written, writer)
    })
    this.#needs.onNotification()
    return { digest, subject: manifest.subject?.digest }
  }

  /**
   * Deletes a tag, or a manifest with the tags that name it; false when it was not there.
   * @throws {AppViewError} PDS failures
   */
  async delete(repository: RepositoryKey, reference: Reference): Promise<boolean> {
    return this.#writes.run(repository.ownerDid, () => deleteReference(this.#needs, repository, reference))
  }

  /** The hold whose blobs a manifest names; checks that they are there and as long as it says. */
  async #chooseHold(repository: RepositoryKey, writer: Did, manifest: ParsedManifest): Promise<Did> {
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
    const holdDid =
      only !== undefined && holdDids.size === 1 ? only : await holds.pushHold(repository.ownerDid)
    const missing = needed.filter(({ digest }) => links.get(digest)?.holdDid !== holdDid)
    if (missing.length > 0 && !this.#needs.allowsSparseImages) {
      const digests = [...new Set(missing.map(({ digest }) => digest))]
      throw new AppViewError(
        'manifest_blob_missing',
        'the manifest names blobs that are not in the repository',
        {
          detail: { digests },
        },
      )
    }
    const wrong = needed.find(
      ({ digest, sizeBytes }) => (links.get(digest)?.sizeBytes ?? sizeBytes) !== sizeBytes,
    )
    if (wrong !== undefined) {
      throw new AppViewError('size_invalid', `blob ${wrong.digest} is not ${wrong.sizeBytes} bytes long`)
    }
    return holdDid
  }

  /** An index keeps no blobs; it lives where its manifests do, so that one hold's readers see both. */
  async #holdOfIndex(repository: RepositoryKey, manifest: ParsedManifest): Promise<Did> {
    const digests = manifest.manifests.map(({ digest }) => digest).slice(0, 500)
    const children = await findManifests(this.#needs.db, repository.ownerDid, digests)
    const holdDids = new Set([...children.values()].map((child) => child.holdDid))
    const [only] = holdDids
    return only !== undefined && holdDids.size === 1 ? only : this.#needs.holds.pushHold(repository.ownerDid)
  }

  async #known(repository: RepositoryKey, digest: Digest, tags: readonly Tag[]): Promise<KnownRecords> {
    const { db } = this.#needs
    const { ownerDid, name } = repository
    const manifest = await findManifestOfOwner(db, ownerDid, digest)
    const dates = new Map<Tag, Date>()
    for (const tag of tags) {
      const owner = await findTagOfRecord(db, ownerDid, tagRkey(name, tag))
      if (owner !== undefined && (owner.repository !== name || owner.tag !== tag)) {
        throw new AppViewError(
          'reference_invalid',
          `tag ${tag} of ${name} and tag ${owner.tag} of ${owner.repository} share a record key; choose another tag`,
        )
      }
      const row = await findTag(db, repository, tag)
      if (row !== undefined) dates.set(tag, new Date(row.createdAt))
    }
    return { tags: dates, manifest: manifest && (await this.#knownManifest(manifest)) }
  }

  async #knownManifest(row: Manifest): Promise<NonNullable<KnownRecords['manifest']>> {
    const { ownerDid, digest, blobCid, mediaType, sizeBytes, holdDid } = row
    return {
      // A size that is not known (legacy) would make a wrong reference: better to upload again.
      blob: blobCid !== undefined && sizeBytes > 0 ? blobJson({ cid: blobCid, mimeType: mediaType, sizeBytes }) : undefined, // prettier-ignore
      holdDid,
      repositories: await listRepositoriesOfManifest(this.#needs.db, ownerDid, digest),
      createdAt: new Date(row.createdAt),
    }
  }

  async #apply(
    commit: CommitResult,
    parts: WantedManifest,
    written: WrittenManifest,
    writer: Did,
  ): Promise<void> {
    const { ownerDid, repository, digest, manifest, bytes, now } = parts
    const { rev } = commit
    await this.#needs.db.transaction().execute(async (tx) => {
      if (written.manifest !== undefined) {
        const record = recordOf(parts, written.manifest)
        const rkey = manifestRkey(digest)
        await applyManifest(tx, { did: ownerDid, rkey, rev, record, sizeBytes: bytes.byteLength })
      }
      for (const [tag, createdAt] of written.tags) {
        const record = {
          repository,
          tag,
          digest,
          createdAt: createdAt.toISOString(),
          updatedAt: now.toISOString(),
        }
        await applyTag(tx, { did: ownerDid, rkey: tagRkey(repository, tag), rev, record })
      }
      await this.#needs.store.put(tx, digest, { mediaType: manifest.mediaType, bytes, cachedAt: now })
      await insertHoldNotification(tx, {
        id: randomId(),
        holdDid: parts.holdDid,
        accountDid: writer,
        payload: noticeOf(parts),
        attempts: 0,
        nextAt: now.toISOString(),
        createdAt: now.toISOString(),
      })
    })
  }
}

/** Layers that clients never push: by their type, or because they say where else they are. */
function isElsewhere({ mediaType, urls }: Descriptor): boolean {
  return isNonDistributable(mediaType) || (urls !== undefined && urls.length > 0)
}

/** What the hold is told: what the manifest points at, not the whole of it. */
function noticeOf({ repository, ownerDid, digest, manifest, tags }: WantedManifest): ManifestNotice {
  const plain = (descriptor: Descriptor) => ({
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.sizeBytes,
  })
  const [tag] = tags
  return {
    operation: 'push',
    repository,
    userDid: ownerDid,
    manifestDigest: digest,
    ...(tag === undefined ? {} : { tag }),
    manifest: {
      mediaType: manifest.mediaType,
      ...(manifest.config === undefined ? {} : { config: plain(manifest.config) }),
      ...(manifest.isIndex
        ? { manifests: manifest.manifests.map(plain) }
        : { layers: manifest.layers.map(plain) }),
      ...(manifest.subject === undefined ? {} : { subject: plain(manifest.subject) }),
    },
  }
}
