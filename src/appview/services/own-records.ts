import type { BlobJson, RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { OwnRecordsPds } from '../ports/own-records.ts'
import { handlerFor } from '../read-model/record-handlers.ts'

type RecordJson = Record<string, unknown>

interface Needs {
  db: AppViewDb
  pds: OwnRecordsPds
}

/** One more try after another program wrote in between. */
const attemptCountMax = 2

/**
 * What somebody changes on our pages is a record in his own PDS: stars, profile, repository pages. The rows follow in
 * the same breath, by the same functions that the indexer uses, so that the next page shows it.
 */
export class OwnRecords {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Reads a record as it stands in the PDS, has it edited, and writes what came of it: `undefined` deletes, the very
   * same object leaves it alone. What other programs put into the record stays as long as `edit` keeps it.
   * @throws {AppViewError} `session_lost`, `rate_limited`, `pds_refused`, `pds_failed`, `pds_unreachable`, `pds_conflict`
   */
  async edit(
    did: Did,
    { collection, rkey }: { collection: string; rkey: string },
    edit: (current: RecordJson | undefined) => RecordJson | undefined,
  ): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const current = await this.#needs.pds.find(did, collection, rkey)
      const wanted = edit(current)
      if (wanted === current) return
      try {
        return await this.#write(did, writeOf({ collection, rkey }, current, wanted))
      } catch (error) {
        // A PDS says in words of its own that a record to create is there, or one to change is gone.
        const isRace = error instanceof AppViewError && ['pds_conflict', 'pds_refused'].includes(error.code)
        if (!isRace || attempt >= attemptCountMax) throw error
      }
    }
  }

  /** Stores an image for a record that is about to name it. @throws {AppViewError} as above */
  uploadBlob(did: Did, bytes: Uint8Array, mimeType: string): Promise<BlobJson> {
    return this.#needs.pds.uploadBlob(did, bytes, mimeType)
  }

  async #write(did: Did, write: RecordWrite): Promise<void> {
    const { db, pds } = this.#needs
    const { collection, rkey } = write
    const handler = handlerFor(collection)
    if (handler === undefined) throw new Error(`${collection} is not indexed`)
    // Read as the indexer will read it, before anything is written: a record we could not show is a fault of ours.
    const prepare = (rev: string) =>
      write.action === 'delete'
        ? handler.remove({ did, rkey, rev })
        : handler.put({ did, rkey, rev, record: write.value })
    prepare('')
    const { rev } = await pds.commit(did, [write])
    await db.transaction().execute((tx) => prepare(rev).apply(tx))
  }
}

function writeOf(
  key: { collection: string; rkey: string },
  current: RecordJson | undefined,
  wanted: RecordJson | undefined,
): RecordWrite {
  if (wanted === undefined) return { action: 'delete', ...key }
  return { action: current === undefined ? 'create' : 'update', ...key, value: wanted }
}
