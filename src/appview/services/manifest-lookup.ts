import { pdsBlobCid } from '../../atproto/pds-blob-cid.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { manifestRkey, type ManifestRecord } from '../../protocol/lexicon/manifest-record.ts'
import { tagRkey } from '../../protocol/lexicon/tag-record.ts'
import { digestAlgorithm, digestOfBytes, type Digest } from '../../protocol/oci/digest.ts'
import { parseManifest } from '../../protocol/oci/manifest.ts'
import type { Reference } from '../../protocol/oci/reference.ts'
import { findManifest, findManifestOfOwner, type Manifest } from '../db/manifests.ts'
import { RecentRows } from '../db/recent-rows.ts'
import type { AppViewTables, RepositoryKey } from '../db/schema.ts'
import { findTag, listTagsOfManifest, type Tag } from '../db/tags.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'
import { applyManifest } from '../read-model/manifest.ts'
import { applyTag } from '../read-model/tag.ts'
import type { ManifestStore } from './manifest-store.ts'

/** Older than any commit: what was read from a PDS never overrules what an event told. */
const readRev = ''

interface Needs {
  db: Database<AppViewTables>
  pds: PdsManifests
  store: ManifestStore
  now: Now
}

const log = logger('appview:manifests')

/**
 * Finds manifests: in the index and the byte cache, and where those have nothing, in the owner's PDS, whose answer is
 * kept. Knows nothing of who may read.
 */
export class ManifestLookup {
  readonly #needs: Needs
  readonly #early = new WeakMap<Manifest, Promise<Uint8Array | undefined>>()
  readonly #tags: RecentRows<Tag | undefined>
  readonly #members: RecentRows<Manifest | undefined>

  constructor(needs: Needs) {
    this.#needs = needs
    this.#tags = new RecentRows(needs.db)
    this.#members = new RecentRows(needs.db)
  }

  /** The digest a reference means in this repository. */
  async findDigest(repository: RepositoryKey, reference: Reference): Promise<Digest | undefined> {
    if (reference.kind === 'digest') return reference.digest
    const { db, pds } = this.#needs
    const { ownerDid, name } = repository
    const indexed = await this.#tags.get(`${ownerDid}/${name}:${reference.tag}`, () =>
      findTag(db, repository, reference.tag),
    )
    if (indexed !== undefined) return indexed.digest
    const record = await pds.findTag(ownerDid, name, reference.tag)
    if (record === undefined) return undefined
    // A tag that names someone else's manifest is not ours to serve under this owner.
    if (record.manifestOwnerDid !== undefined && record.manifestOwnerDid !== ownerDid) return undefined
    const change = { did: ownerDid, rkey: tagRkey(name, reference.tag), rev: readRev, record }
    await db.cacheTransaction((tx) => applyTag(tx, change))
    return record.digest
  }

  /**
   * The manifest as this repository holds it. Who wants its bytes next says so: where both are far away they are then
   * fetched at the same time.
   */
  async find(
    repository: RepositoryKey,
    digest: Digest,
    options: { withBytes?: boolean } = {},
  ): Promise<Manifest | undefined> {
    const { db, pds } = this.#needs
    const { ownerDid } = repository
    const indexed = await this.#findIndexed(repository, digest)
    if (indexed !== undefined) return indexed
    const early = options.withBytes === true ? this.#startFetching(ownerDid, digest) : undefined
    const record = await pds.findManifest(ownerDid, digest)
    if (record === undefined) return undefined
    await this.#keep(ownerDid, record)
    const indexedNow = await this.#findIndexed(repository, digest)
    if (indexedNow === undefined)
      log.debug({ ownerDid, digest }, 'a manifest is not in the repository it was asked for')
    const found = indexedNow ?? (await findManifest(db, repository, digest))
    if (found !== undefined && early !== undefined) this.#early.set(found, early)
    return found
  }

  /** The exact bytes, verified; `undefined` when the owner's PDS does not have them either. */
  async findBytes(manifest: Manifest): Promise<Uint8Array | undefined> {
    const { store, pds, db, now } = this.#needs
    const { digest, ownerDid, mediaType } = manifest
    const cached = await store.find(digest)
    if (cached !== undefined) return cached.bytes
    const blobCid = manifest.blobCid ?? (await pds.findManifest(ownerDid, digest))?.manifestBlob?.cid
    if (blobCid === undefined) return undefined
    const bytes = (await this.#early.get(manifest)) ?? (await pds.findBytes(ownerDid, blobCid))
    if (bytes === undefined) return undefined
    if (digestOfBytes(bytes, digestAlgorithm(digest)) !== digest) {
      log.warn({ ownerDid, digest, blobCid }, 'the PDS has other bytes than the record promises')
      return undefined
    }
    await db.cacheTransaction((tx) => store.put(tx, digest, { mediaType, bytes, cachedAt: now() }))
    return bytes
  }

  /** A PDS keeps bytes by their sha256, so they can be asked for before the record that names them is here. */
  #startFetching(ownerDid: Did, digest: Digest): Promise<Uint8Array | undefined> | undefined {
    if (digestAlgorithm(digest) !== 'sha256') return undefined
    const cid = pdsBlobCid(digest.slice('sha256:'.length))
    // A failure shows when they are asked for again.
    return this.#needs.pds.findBytes(ownerDid, cid).catch(() => undefined)
  }

  async #findIndexed(repository: RepositoryKey, digest: Digest): Promise<Manifest | undefined> {
    const { db } = this.#needs
    const member = await this.#members.get(`${repository.ownerDid}/${repository.name}@${digest}`, () =>
      findManifest(db, repository, digest),
    )
    if (member !== undefined) return member
    // Records of older software name one repository only; there, tags tell the others.
    const tags = await listTagsOfManifest(db, repository, digest)
    return tags.length === 0 ? undefined : findManifestOfOwner(db, repository.ownerDid, digest)
  }

  async #keep(ownerDid: Did, record: ManifestRecord): Promise<void> {
    const full = record.isComplete ? record : await this.#complete(ownerDid, record)
    const change = { did: ownerDid, rkey: manifestRkey(record.digest), rev: readRev, record: full }
    await this.#needs.db.cacheTransaction((tx) => applyManifest(tx, change))
  }

  /** A manifest too large for a record is read from its bytes. */
  async #complete(ownerDid: Did, record: ManifestRecord): Promise<ManifestRecord> {
    const { digest, mediaType, manifestBlob } = record
    const bytes = manifestBlob && (await this.#needs.pds.findBytes(ownerDid, manifestBlob.cid))
    if (bytes === undefined || digestOfBytes(bytes, digestAlgorithm(digest)) !== digest) return record
    const { config, layers, manifests } = parseManifest(bytes, mediaType)
    return { ...record, ...(config === undefined ? {} : { config }), layers, manifests, isComplete: true }
  }
}
