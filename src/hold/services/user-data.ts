import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { crewCollection, crewRkey } from '../../protocol/lexicon/crew-record.ts'
import { layerCollection } from '../../protocol/lexicon/layer-record.ts'
import { listManifestUrisOf } from '../db/layers.ts'
import { listManifestsOf } from '../db/moderated-manifests.ts'
import type { HoldTables } from '../db/schema.ts'
import {
  findOwnerLook,
  listCharges,
  listLabelsOf,
  listLayerKeys,
  listPostsOf,
  listSentBlobs,
  listStatsOf,
  listUploads,
} from '../db/user-data.ts'
import type { HoldRepo } from '../pds/repo.ts'
import type { Crew } from './crew.ts'
import type { Layers } from './layers.ts'
import type { Stats } from './stats.ts'

const pageSize = 200

interface Needs {
  database: Kysely<HoldTables>
  repo: Pick<HoldRepo, 'findRecord'>
  crew: Pick<Crew, 'getCaptain' | 'remove'>
  layers: Pick<Layers, 'locks' | 'removeManifests'>
  stats: Pick<Stats, 'remove'>
}

/** What this hold keeps about one account: told, or taken out. */
export class UserData {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Everything kept about an account, records as lexicon values: lists by name, read page by page as they are asked for. */
  export(did: Did): Record<string, AsyncIterable<unknown>> {
    const { database } = this.#needs
    const userDid = normalizeDid(did)
    return {
      crew: this.#records(crewCollection, async (after) => (after === '' ? [crewRkey(userDid)] : [])),
      layers: this.#records(layerCollection, (after) =>
        listLayerKeys(database, { userDid, after, limit: pageSize }),
      ),
      stats: rows('repository', (after) => listStatsOf(database, { userDid, after, limit: pageSize })),
      manifests: manifests(database, userDid),
      posts: rows('rkey', (after) => listPostsOf(database, { userDid, after, limit: pageSize })),
      labels: rows('subject', (after) => listLabelsOf(database, { userDid, after, limit: pageSize })),
      charges: rows('digest', (after) => listCharges(database, { userDid, after, limit: pageSize })),
      uploads: rows('id', (after) => listUploads(database, { userDid, after, limit: pageSize })),
      sentBlobs: rows('digest', (after) => listSentBlobs(database, { userDid, after, limit: pageSize })),
      owner: rows('did', async (after) => (after === '' ? [await findOwnerLook(database, userDid)] : [])),
    }
  }

  /**
   * Takes an account out of the crew, and its layers and counters out of the data repo; how many records. Its blobs are
   * then collected with the rest of the garbage; the captain stays in the crew.
   */
  async delete(did: Did): Promise<number> {
    const { database, crew, layers, stats } = this.#needs
    const userDid = normalizeDid(did)
    const isCaptain = normalizeDid((await crew.getCaptain()).ownerDid) === userDid
    // First, so that no push puts back what is taken out.
    const wasCrew = !isCaptain && (await crew.remove(userDid))
    let deletedCount = (wasCrew ? 1 : 0) + (await stats.remove(userDid))
    for (;;) {
      const uris = await listManifestUrisOf(database, userDid, pageSize)
      const [first] = uris
      if (first === undefined) return deletedCount
      const { layersRemoved } = await layers.locks.runWithFree(uris, async (free) =>
        layers.removeManifests(free),
      )
      deletedCount += layersRemoved
      // Somebody works on all of them: wait for one.
      if (layersRemoved === 0) {
        const waited = await layers.locks.run(first, () => layers.removeManifests([first]))
        deletedCount += waited.layersRemoved
      }
    }
  }

  async *#records(
    collection: string,
    listKeys: (after: string) => Promise<string[]>,
  ): AsyncGenerator<unknown, void, undefined> {
    let after = ''
    for (;;) {
      const keys = await listKeys(after)
      const last = keys.at(-1)
      if (last === undefined) return
      for (const rkey of keys) {
        const record = await this.#needs.repo.findRecord(collection, rkey)
        if (record !== undefined) yield record
      }
      after = last
    }
  }
}

/** In which repositories the account's manifests are. */
async function* manifests(database: Kysely<HoldTables>, userDid: Did): AsyncGenerator<unknown> {
  for (const { manifestUri, repositories } of await listManifestsOf(database, userDid)) {
    yield { manifestUri, repositories }
  }
}

/** All rows, page by page; `key` is what they are ordered by. */
async function* rows<Key extends string>(
  key: Key,
  listPage: (after: string) => Promise<(Record<Key, string> | undefined)[]>,
): AsyncGenerator<unknown, void, undefined> {
  let after = ''
  for (;;) {
    const page = (await listPage(after)).filter((row) => row !== undefined)
    const last = page.at(-1)
    if (last === undefined) return
    yield* page
    after = last[key]
  }
}
