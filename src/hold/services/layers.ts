import type { Kysely } from 'kysely'

import { formatAtUri, nextTid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { KeyedLocks } from '../../lib/keyed-locks.ts'
import { buildLayerRecord, layerCollection } from '../../protocol/lexicon/layer-record.ts'
import { manifestCollection, manifestRkey } from '../../protocol/lexicon/manifest-record.ts'
import { isDigest, type Digest } from '../../protocol/oci/digest.ts'
import {
  deleteLayers,
  insertLayers,
  listLayersOf,
  listUnwrittenLayers,
  markLayersUnwritten,
  markLayersWritten,
} from '../db/layers.ts'
import type { HoldTables } from '../db/schema.ts'
import type { LayerRow, StorageTables } from '../db/storage-tables.ts'
import { HoldError } from '../errors.ts'
import type { HoldRepo } from '../pds/repo.ts'
import type { Blobs } from './blobs.ts'
import { rebuildLayers } from './layer-rebuild.ts'
import type { Reservations } from './reservations.ts'

/** Of one manifest. Real ones have 127 at most; artifacts can have more. */
const layerCountMax = 5000
/** What the data repo takes. */
const writesPerCommitMax = 200
const mediaTypeBytesMax = 255
/** How many manifests are looked up at once. */
const manifestBatchMax = 500

/** A manifest that was pushed. */
export interface ManifestNotice {
  ownerDid: Did
  repository: string
  digest: Digest
}

interface Needs {
  database: Kysely<HoldTables>
  repo: Pick<HoldRepo, 'applyWrites' | 'findRecord' | 'listRecords'>
  blobs: Pick<Blobs, 'find'>
  reservations: Pick<Reservations, 'alone' | 'checkCharged' | 'findAllowance'>
  now: Now
}

/** Which manifests name which blobs of this hold: its layer records. */
export class Layers {
  readonly #needs: Needs
  /** By manifest URI: whoever notes its layers or removes them holds it, from when it was looked for. */
  readonly locks = new KeyedLocks()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Writes a layer record for each blob of this hold that the manifest names, in one commit (of 200 at most); answers how many are new.
   * The same notice again adds none: the keys of the records are chosen, and kept, before they are written.
   * @throws {HoldError} `request_invalid`; `quota_exceeded`, and then nothing is noted
   */
  recordPush(notice: ManifestNotice, manifest: unknown): Promise<number> {
    const ownerDid = normalizeDid(notice.ownerDid)
    const manifestUri = manifestUriOf(notice)
    return this.locks.run(manifestUri, () => this.#record(ownerDid, manifestUri, manifest))
  }

  /**
   * Removes what was noted of these manifests: records, then rows and charges, so that the same call after a crash does
   * the rest. Whoever calls it holds their locks.
   */
  async removeManifests(manifestUris: readonly string[]): Promise<{ layersRemoved: number }> {
    let layersRemoved = 0
    for (let start = 0; start < manifestUris.length; start += manifestBatchMax) {
      const page = manifestUris.slice(start, start + manifestBatchMax)
      const rows = await listLayersOf(this.#needs.database, page)
      for (let from = 0; from < rows.length; from += writesPerCommitMax) {
        await this.#remove(rows.slice(from, from + writesPerCommitMax))
      }
      layersRemoved += rows.length
    }
    return { layersRemoved }
  }

  /** Makes rows and charges agree with the layer records: after the data repo was imported, or the rows were lost. */
  rebuild(): Promise<{ layers: number; malformed: number }> {
    return rebuildLayers(this.#needs)
  }

  async #remove(rows: readonly LayerRow[]): Promise<void> {
    const { repo } = this.#needs
    const database: Kysely<StorageTables> = this.#needs.database
    // First, so that after a crash in between the next push of the manifest looks whether the records are there.
    await database.transaction().execute((transaction) => markLayersUnwritten(transaction, rows))
    await repo.applyWrites(
      rows.map(({ rkey }) => ({ action: 'ensure-absent', collection: layerCollection, rkey }) as const),
    )
    await database.transaction().execute((transaction) => deleteLayers(transaction, rows))
  }

  async #record(ownerDid: Did, manifestUri: string, manifest: unknown): Promise<number> {
    const named = descriptorsOf(manifest)
    const rows = await this.#rowsFor(manifestUri, ownerDid, [...named.keys()])
    await this.#needs.reservations.alone(ownerDid, () => this.#note(ownerDid, rows))
    return this.#writeRecords(manifestUri, ownerDid, named)
  }

  async #note(ownerDid: Did, rows: readonly LayerRow[]): Promise<void> {
    const { reservations } = this.#needs
    const database: Kysely<StorageTables> = this.#needs.database
    const allowance = await reservations.findAllowance(ownerDid)
    await database.transaction().execute(async (transaction) => {
      const addedBytes = await insertLayers(transaction, rows)
      await reservations.checkCharged(transaction, ownerDid, allowance, addedBytes)
    })
  }

  async #writeRecords(
    manifestUri: string,
    ownerDid: Did,
    named: ReadonlyMap<Digest, string>,
  ): Promise<number> {
    const { database, repo, now } = this.#needs
    const missing = await listUnwrittenLayers(database, manifestUri)
    const writes = []
    for (const row of missing) {
      // There already, when this process died between the commit and the note of it.
      if ((await repo.findRecord(layerCollection, row.rkey)) !== undefined) continue
      const digest = row.digest as Digest
      const record = buildLayerRecord({
        digest,
        sizeBytes: row.size_bytes,
        mediaType: named.get(digest) ?? 'application/octet-stream',
        manifestUri,
        userDid: ownerDid,
        createdAt: now(),
      })
      writes.push({ action: 'put', collection: layerCollection, rkey: row.rkey, record } as const)
    }
    for (let start = 0; start < writes.length; start += writesPerCommitMax) {
      await repo.applyWrites(writes.slice(start, start + writesPerCommitMax))
    }
    if (missing.length > 0) await markLayersWritten(database, manifestUri)
    return writes.length
  }

  /** Blobs that are somewhere else (foreign layers, another hold) are not ours to keep account of. */
  async #rowsFor(manifestUri: string, userDid: Did, digests: readonly Digest[]): Promise<LayerRow[]> {
    const rows: LayerRow[] = []
    for (const digest of digests) {
      const blob = await this.#needs.blobs.find(digest)
      if (blob === undefined) continue
      const { sizeBytes } = blob
      rows.push({
        manifest_uri: manifestUri,
        digest,
        user_did: userDid,
        size_bytes: sizeBytes,
        rkey: nextTid(),
        is_written: 0,
      })
    }
    return rows
  }
}

/** The AT-URI of the manifest's record. */
export function manifestUriOf({ ownerDid, digest }: Pick<ManifestNotice, 'ownerDid' | 'digest'>): string {
  return formatAtUri(normalizeDid(ownerDid), manifestCollection, manifestRkey(digest))
}

/** Config and layers of a manifest, digest → media type. @throws {HoldError} `request_invalid` */
function descriptorsOf(manifest: unknown): Map<Digest, string> {
  const { config, layers } = fieldsOf(manifest)
  const descriptors = [config, ...(Array.isArray(layers) ? (layers as unknown[]) : [])]
  if (descriptors.length > layerCountMax) {
    throw new HoldError('request_invalid', `a manifest with more than ${layerCountMax - 1} layers`)
  }
  const result = new Map<Digest, string>()
  for (const descriptor of descriptors) {
    if (descriptor === undefined || descriptor === null) continue
    const { digest, mediaType } = fieldsOf(descriptor)
    if (typeof digest !== 'string' || !isDigest(digest)) {
      throw new HoldError('request_invalid', 'the manifest has a descriptor without a digest')
    }
    const isUsual = typeof mediaType === 'string' && Buffer.byteLength(mediaType) <= mediaTypeBytesMax
    result.set(digest, isUsual && mediaType !== '' ? mediaType : 'application/octet-stream')
  }
  return result
}

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>
  }
  throw new HoldError('request_invalid', 'the manifest is not an object')
}
