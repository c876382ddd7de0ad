import { createHash } from 'node:crypto'

import { pdsBlobCid } from '../../atproto/pds-blob-cid.ts'
import { formatAtUri } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import type { PdsBlobJson } from '../../protocol/lexicon/record.ts'
import { expirePdsBlobs, findNamedPdsBlob, listMissingPdsBlobs, putPdsBlob } from '../db/pds-blobs.ts'
import type { PdsTables } from '../db/pds-tables.ts'
import { RepoError } from './errors.ts'
import type { HoldRepo } from './repo.ts'

/** Of one PDS blob. Avatars have one megabyte at most; reports of a scan have more. */
export const pdsBlobBytesMax = 5 * 1024 * 1024

/** How long a blob waits for a record to name it. */
const temporaryMs = 60 * 60 * 1000

export interface PdsBlobContent {
  mimeType: string
  bytes: Uint8Array
}

/**
 * The PDS blobs of the hold's own records, kept as rows beside them: a blob goes in the transaction that takes away the
 * last record naming it. Image layers are somebody else's business.
 */
export class PdsBlobs {
  readonly #database: Database<PdsTables>
  readonly #repo: Pick<HoldRepo, 'did' | 'betweenCommits'>
  readonly #now: Now

  constructor(needs: {
    database: Database<PdsTables>
    repo: Pick<HoldRepo, 'did' | 'betweenCommits'>
    now: Now
  }) {
    this.#database = needs.database
    this.#repo = needs.repo
    this.#now = needs.now
  }

  /** Keeps a blob for an hour, or for as long as a record names it. @throws {RepoError} blob_too_big */
  async put(source: AsyncIterable<Uint8Array>, mimeType: string): Promise<PdsBlobJson> {
    const bytes = await collectBytes(source, pdsBlobBytesMax).catch((cause: unknown) => {
      if (!(cause instanceof ByteLimitError)) throw cause
      throw new RepoError('blob_too_big', `a blob has at most ${pdsBlobBytesMax} bytes`, { cause })
    })
    const cid = pdsBlobCid(createHash('sha256').update(bytes).digest('hex'))
    const [size, time] = [bytes.byteLength, this.#now().toISOString()]
    const row = { cid, mime_type: mimeType, size_bytes: size, uploaded_at: time, bytes }
    await this.#repo.betweenCommits(() => putPdsBlob(this.#database, row))
    return { $type: 'blob', ref: { $link: cid }, mimeType, size }
  }

  /** A blob that a record names. */
  async find(cid: string): Promise<PdsBlobContent | undefined> {
    const row = await findNamedPdsBlob(this.#database, cid)
    return row && { mimeType: row.mime_type, bytes: row.bytes }
  }

  /** A page of blobs that records name but nobody has uploaded: after an import. */
  async listMissing(page: {
    cursor?: string | undefined
    limit: number
  }): Promise<{ cid: string; recordUri: string }[]> {
    const rows = await listMissingPdsBlobs(this.#database, page)
    return rows.map(({ cid, collection, rkey }) => ({
      cid,
      recordUri: formatAtUri(this.#repo.did, collection, rkey),
    }))
  }

  /** Forgets blobs that no record came to name; how many. */
  expire(): Promise<number> {
    const before = new Date(this.#now().getTime() - temporaryMs).toISOString()
    return this.#repo.betweenCommits(() => expirePdsBlobs(this.#database, before))
  }
}
