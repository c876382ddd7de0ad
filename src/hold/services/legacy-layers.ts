import type { Kysely } from 'kysely'

import { formatAtUri, type Did } from '../../atproto/syntax.ts'
import { logger } from '../../lib/log.ts'
import { layerCollection } from '../../protocol/lexicon/layer-record.ts'
import {
  manifestCollection,
  parseManifestRecord,
  type ManifestRecord,
} from '../../protocol/lexicon/manifest-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import { listKnownManifests } from '../db/gc-owners.ts'
import { listReplacedLayers } from '../db/layers.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import type { OwnedManifest, OwnerAccount, OwnerManifests } from '../ports/owner-manifests.ts'
import type { Layers } from './layers.ts'

const log = logger('hold:gc')

/** Of one owner in memory at once; more are for the next look. */
const layerCountMax = 10_000

interface Needs {
  database: Kysely<StorageTables>
  owners: Pick<OwnerManifests, 'listManifests'>
  layers: Pick<Layers, 'locks' | 'removeManifests'>
  holdDid: Did
}

/**
 * Layer records of the oldest shape name no manifest, so nobody can be asked whether what they stand for is gone: they would
 * keep their blobs for ever. They go once all manifests of their owner that name the blob have layers here.
 */
export class LegacyLayers {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Removes what has been replaced, and answers how many; nothing while anything is in doubt. @throws {AtprotoError} */
  async retire(account: OwnerAccount): Promise<number> {
    const { database, layers, holdDid } = this.#needs
    const prefix = formatAtUri(holdDid, layerCollection, '')
    const replaced = await listReplacedLayers(database, { userDid: account.did, prefix, limit: layerCountMax }) // prettier-ignore
    if (replaced.length === 0) return 0
    const stillNeeded = await this.#namedByUnnoted(account)
    if (stillNeeded === undefined) return 0
    const uris = replaced.filter(({ digest }) => !stillNeeded.has(digest)).map((row) => row.manifest_uri)
    const { layersRemoved } = await layers.locks.runWithFree(uris, (free) => layers.removeManifests(free))
    if (layersRemoved > 0) log.info({ did: account.did, layers: layersRemoved }, 'layer records of the oldest shape were replaced') // prettier-ignore
    return layersRemoved
  }

  /**
   * Digests that manifests without layers here name: those of accounts that may not push (any more), and those that say
   * their blobs are at another hold. Undefined when one of them cannot be read.
   */
  async #namedByUnnoted(account: OwnerAccount): Promise<Set<string> | undefined> {
    const named = new Set<string>()
    for await (const page of this.#needs.owners.listManifests(account)) {
      for (const { value } of await this.#withoutLayers(account, page)) {
        const record = tryParse(value)
        if (record?.isComplete !== true) return undefined
        for (const descriptor of [record.config, ...record.layers]) {
          if (descriptor !== undefined) named.add(descriptor.digest)
        }
      }
    }
    return named
  }

  async #withoutLayers({ did }: OwnerAccount, page: readonly OwnedManifest[]): Promise<OwnedManifest[]> {
    const uriOf = ({ rkey }: OwnedManifest) => formatAtUri(did, manifestCollection, rkey)
    const known = await listKnownManifests(this.#needs.database, page.map(uriOf))
    return page.filter((manifest) => !known.has(uriOf(manifest)))
  }
}

function tryParse(value: unknown): ManifestRecord | undefined {
  try {
    return parseManifestRecord(value)
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
