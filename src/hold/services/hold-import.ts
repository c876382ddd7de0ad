import type { Kysely } from 'kysely'

import { formatAtUri, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { CaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import {
  buildCrewRecord,
  crewCollection,
  crewRkey,
  parseCrewRecord,
  type CrewRecord,
} from '../../protocol/lexicon/crew-record.ts'
import { layerCollection, parseLayerRecord, type LayerRecord } from '../../protocol/lexicon/layer-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import { insertLayers, listUnwrittenLayers, markLayersWritten } from '../db/layers.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import type { HoldRepo, StoredRecord } from '../pds/repo.ts'
import type { Crew } from './crew.ts'

/** What the data repo takes in one commit. */
const pageSize = 100

interface Needs {
  /** The hold that is taken over. */
  from: { repo: Pick<HoldRepo, 'listRecords'>; captain: CaptainRecord }
  /** The hold that takes over. */
  repo: Pick<HoldRepo, 'applyWrites' | 'countRecords' | 'did'>
  crew: Pick<Crew, 'find' | 'getCaptain' | 'updateCaptain'>
  database: Kysely<StorageTables>
}

/** What was new to the hold that takes over. */
export interface Imported {
  crew: number
  layers: number
  /** Records that are none. */
  left: number
  hasSettings: boolean
}

/**
 * Crew, layers and settings of one hold, taken over by another as its own records. May be cut off and called again:
 * what the other hold has already stays as it is there.
 */
export class HoldImport {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async run(): Promise<Imported> {
    const imported: Imported = { crew: 0, layers: 0, left: 0, hasSettings: await this.#importSettings() }
    await this.#importCrew(imported)
    await this.#importLayers(imported)
    return imported
  }

  /** A hold of the same captain that is empty so far becomes as open as the old one was. Any other decides for itself. */
  async #importSettings(): Promise<boolean> {
    const { crew, from, repo } = this.#needs
    const isSameCaptain = sameDid((await crew.getCaptain()).ownerDid, from.captain.ownerDid)
    if (!isSameCaptain || (await repo.countRecords(layerCollection)) > 0) return false
    const { isPublic, allowAllCrew, enableBlueskyPosts, region } = from.captain
    await crew.updateCaptain({ isPublic, allowAllCrew, enableBlueskyPosts, region })
    return true
  }

  async #importCrew(imported: Imported): Promise<void> {
    const captain = await this.#needs.crew.getCaptain()
    for await (const records of this.#pages(crewCollection)) {
      const writes = []
      for (const { value } of records) {
        const member = parsed(parseCrewRecord, value)
        if (member === undefined) imported.left += 1
        if (member === undefined || (await this.#needs.crew.find(member.memberDid)) !== undefined) continue
        const record = this.#memberRecord(member, captain)
        const rkey = crewRkey(normalizeDid(member.memberDid))
        writes.push({ action: 'put', collection: crewCollection, rkey, record } as const)
      }
      if (writes.length > 0) await this.#needs.repo.applyWrites(writes)
      imported.crew += writes.length
    }
  }

  /** Who administers the old hold administers the new one only if both have one captain. */
  #memberRecord(member: CrewRecord, captain: CaptainRecord) {
    const old = this.#needs.from.captain
    const isSameCaptain = sameDid(captain.ownerDid, old.ownerDid)
    return buildCrewRecord({
      memberDid: normalizeDid(member.memberDid),
      role: sameDid(member.memberDid, old.ownerDid) ? 'member' : member.role,
      permissions: member.permissions.filter((permission) => isSameCaptain || permission !== 'crew:admin'),
      tier: member.tier,
      addedAt: new Date(member.addedAt),
    })
  }

  async #importLayers(imported: Imported): Promise<void> {
    for await (const records of this.#pages(layerCollection)) {
      const layers = new Map<string, { record: LayerRecord; value: unknown }>()
      for (const { uri, value } of records) {
        const record = parsed(parseLayerRecord, value)
        if (record === undefined) imported.left += 1
        else layers.set(rkeyOf(uri), { record, value })
      }
      imported.layers += await this.#noteLayers(layers)
    }
  }

  /** Rows first, as for a push: those that were there keep their own records. */
  async #noteLayers(layers: ReadonlyMap<string, { record: LayerRecord; value: unknown }>): Promise<number> {
    const { database, repo } = this.#needs
    const rows = [...layers].map(([rkey, { record }]) => ({
      // One of the oldest shape names no manifest and stands for one of its own: else its blob would be garbage here.
      manifest_uri: record.manifestUri ?? formatAtUri(repo.did, layerCollection, rkey),
      digest: record.digest,
      user_did: normalizeDid(record.userDid),
      size_bytes: record.sizeBytes,
      rkey,
      is_written: 0,
    }))
    if (rows.length === 0) return 0
    await database.transaction().execute((transaction) => insertLayers(transaction, rows))
    const manifestUris = new Set(rows.map((row) => row.manifest_uri))
    const writes = []
    for (const manifestUri of manifestUris) {
      for (const { rkey } of await listUnwrittenLayers(database, manifestUri)) {
        const layer = layers.get(rkey)
        if (layer !== undefined) writes.push({ action: 'put', collection: layerCollection, rkey, record: layer.value } as const) // prettier-ignore
      }
    }
    // Those of the oldest shape do not fit today's lexicon; they were read, which is what counts.
    if (writes.length > 0) await repo.applyWrites(writes, { validation: 'none' })
    for (const manifestUri of manifestUris) await markLayersWritten(database, manifestUri)
    return writes.length
  }

  async *#pages(collection: string): AsyncGenerator<StoredRecord[], void, undefined> {
    for (let cursor: string | undefined; ;) {
      const page = await this.#needs.from.repo.listRecords(collection, {
        limit: pageSize,
        cursor,
        reverse: true,
      })
      yield page.records
      cursor = page.cursor
      if (cursor === undefined) return
    }
  }
}

/** Old repos may have what no lexicon would let in today. */
function parsed<T>(parse: (value: unknown) => T, value: unknown): T | undefined {
  try {
    return parse(value)
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}

const rkeyOf = (uri: string) => uri.slice(uri.lastIndexOf('/') + 1)

const sameDid = (one: Did, other: Did) => normalizeDid(one) === normalizeDid(other)
