import type { Kysely } from 'kysely'

import { normalizeDid } from '../../atproto/syntax.ts'
import { logger } from '../../lib/log.ts'
import { layerCollection, parseLayerRecord, type LayerRecord } from '../../protocol/lexicon/layer-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import { rebuildCharges } from '../db/charges.ts'
import { deleteLayers, insertLayers, listLayersOf, listOrphanedLayers } from '../db/layers.ts'
import type { HoldTables } from '../db/schema.ts'
import type { LayerRow, StorageTables } from '../db/storage-tables.ts'
import type { HoldRepo, StoredRecord } from '../pds/repo.ts'

const log = logger('hold:layers')

const pageSize = 200

interface Needs {
  database: Kysely<HoldTables>
  repo: Pick<HoldRepo, 'applyWrites' | 'listRecords'>
}

/**
 * Makes rows and charges of layers agree with the layer records of the data repo, page by page. May be cut off anywhere,
 * and done again; pushes may go on meanwhile. Records that are none are counted and left; a second record for the
 * same blob of the same manifest is deleted.
 */
export async function rebuildLayers(needs: Needs): Promise<{ layers: number; malformed: number }> {
  const { repo } = needs
  const database: Kysely<StorageTables> = needs.database
  for (;;) {
    const orphans = await listOrphanedLayers(needs.database, layerCollection, pageSize)
    if (orphans.length === 0) break
    await database.transaction().execute((transaction) => deleteLayers(transaction, orphans))
  }
  let layers = 0
  let malformed = 0
  let cursor: string | undefined
  do {
    const page = await repo.listRecords(layerCollection, { limit: pageSize, cursor, reverse: true })
    const rows = page.records.flatMap(rowOf)
    malformed += page.records.length - rows.length
    await database.transaction().execute((transaction) => insertLayers(transaction, rows))
    const surplus = await findSurplus(database, rows)
    const writes = surplus.map(
      (rkey) => ({ action: 'ensure-absent', collection: layerCollection, rkey }) as const,
    )
    if (writes.length > 0) await repo.applyWrites(writes)
    layers += rows.length - surplus.length
    cursor = page.cursor
  } while (cursor !== undefined)
  await database.transaction().execute(rebuildCharges)
  return { layers, malformed }
}

/** Keys of records whose place is taken by another record. */
async function findSurplus(database: Kysely<StorageTables>, rows: readonly LayerRow[]): Promise<string[]> {
  if (rows.length === 0) return []
  const known = await listLayersOf(database, [...new Set(rows.map((row) => row.manifest_uri))])
  const rkeys = new Map(known.map((row) => [`${row.manifest_uri} ${row.digest}`, row.rkey]))
  return rows.flatMap((row) => {
    const rkey = rkeys.get(`${row.manifest_uri} ${row.digest}`)
    return rkey === undefined || rkey === row.rkey ? [] : [row.rkey]
  })
}

function rowOf(record: StoredRecord): LayerRow[] {
  let layer: LayerRecord
  try {
    layer = parseLayerRecord(record.value)
  } catch (error) {
    if (!(error instanceof RecordError)) throw error
    log.warn({ uri: record.uri, err: error }, 'not a layer record')
    return []
  }
  return [
    {
      // Legacy records do not say which manifest; each of them stands for one of its own.
      manifest_uri: layer.manifestUri ?? record.uri,
      digest: layer.digest,
      user_did: normalizeDid(layer.userDid),
      size_bytes: layer.sizeBytes,
      rkey: record.uri.slice(record.uri.lastIndexOf('/') + 1),
      is_written: 1,
    },
  ]
}
