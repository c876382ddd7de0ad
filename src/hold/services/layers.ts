import type { Kysely } from 'kysely'

import { formatAtUri, nextTid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { buildLayerRecord, layerCollection } from '../../protocol/lexicon/layer-record.ts'
import { manifestCollection, manifestRkey } from '../../protocol/lexicon/manifest-record.ts'
import { isDigest, type Digest } from '../../protocol/oci/digest.ts'
import {
  deleteLayers,
  insertLayers,
  listLayersOf,
  listUnwrittenLayers,
  markLayersWritten,
  touchLayers,
} from '../db/layers.ts'
import { findRecordCids } from '../db/repo-records.ts'
import type { HoldTables } from '../db/schema.ts'
import type { LayerRow } from '../db/storage-tables.ts'
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

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Writes a layer record for each blob of this hold that the manifest names, in one commit (of 200 at most); answers how many are new.
   * The same notice again adds none: the keys of the records are chosen, and kept, before they are written.
   * @throws {HoldError} `request_invalid`; `quota_exceeded`, and then nothing is noted
   */
  async recordPush(notice: ManifestNotice, manifest: unknown): Promise<number> {
    const { reservations } = this.#needs
    const ownerDid = normalizeDid(notice.ownerDid)
    const manifestUri = formatAtUri(ownerDid, manifestCollection, manifestRkey(notice.digest))
    const named = descriptorsOf(manifest)
    const rows = await this.#rowsFor(manifestUri, ownerDid, [...named.keys()])
    return reservations.alone(ownerDid, async () => {
      await this.#note(manifestUri, ownerDid, rows)
      return this.#writeRecords(manifestUri, ownerDid, named)
    })
  }

  async #note(manifestUri: string, ownerDid: Did, rows: readonly LayerRow[]): Promise<void> {
    const { database, reservations, now } = this.#needs
    const allowance = await reservations.findAllowance(ownerDid)
    await database.transaction().execute(async (transaction) => {
      const addedBytes = await insertLayers(transaction, rows)
      await reservations.checkCharged(transaction, ownerDid, allowance, addedBytes)
      await touchLayers(transaction, manifestUri, now().toISOString())
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

  /**
   * Takes out what these manifests name: layer records first, then their rows and charges, so that the same call after
   * a crash does the rest. With `notedBefore`, manifests that were pushed then or later are left alone: give the time
   * at which they were found to be gone.
   */
  async removeManifests(
    manifestUris: readonly string[],
    options: { notedBefore?: Date } = {},
  ): Promise<{ layersRemoved: number }> {
    let layersRemoved = 0
    for (let start = 0; start < manifestUris.length; start += manifestBatchMax) {
      const page = { uris: manifestUris.slice(start, start + manifestBatchMax), ...options }
      const users = new Set((await this.#listLayers(page)).map((row) => row.user_did))
      for (const userDid of users) {
        // What a push notes meanwhile is not to be taken out by the look of a moment ago.
        layersRemoved += await this.#needs.reservations.alone(userDid, async () => {
          const rows = await this.#listLayers(page)
          return this.#remove(rows.filter((row) => row.user_did === userDid))
        })
      }
    }
    return { layersRemoved }
  }

  /** Makes rows and charges agree with the layer records: after the data repo was imported, or the rows were lost. */
  rebuild(): Promise<{ layers: number; malformed: number }> {
    return rebuildLayers(this.#needs)
  }

  #listLayers(of: { uris: readonly string[]; notedBefore?: Date }): Promise<LayerRow[]> {
    return listLayersOf(this.#needs.database, of.uris, of.notedBefore?.toISOString())
  }

  async #remove(rows: readonly LayerRow[]): Promise<number> {
    const { database, repo } = this.#needs
    for (let start = 0; start < rows.length; start += writesPerCommitMax) {
      const batch = rows.slice(start, start + writesPerCommitMax)
      const present = await findRecordCids(
        database,
        layerCollection,
        batch.map(({ rkey }) => rkey),
      )
      const writes = [...present.keys()].map(
        (rkey) => ({ action: 'delete', collection: layerCollection, rkey }) as const,
      )
      if (writes.length > 0) await repo.applyWrites(writes)
      await database.transaction().execute((transaction) => deleteLayers(transaction, batch))
    }
    return rows.length
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
        noted_at: this.#needs.now().toISOString(),
      })
    }
    return rows
  }
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
