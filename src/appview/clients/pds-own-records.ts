import {
  applyWrites,
  uploadBlob,
  type BlobJson,
  type CommitResult,
  type RecordWrite,
} from '../../atproto/pds-records.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { OwnRecordsPds } from '../ports/own-records.ts'
import { pdsFailure } from './failures.ts'
import type { PdsReads } from './pds-reads.ts'

/** An account's own records, by XRPC. */
export class PdsOwnRecords implements OwnRecordsPds {
  readonly #sessions: { session(did: Did): Promise<PdsSession> }
  readonly #reads: PdsReads

  constructor(needs: { sessions: { session(did: Did): Promise<PdsSession> }; reads: PdsReads }) {
    this.#sessions = needs.sessions
    this.#reads = needs.reads
  }

  async find(did: Did, collection: string, rkey: string): Promise<Record<string, unknown> | undefined> {
    const value = (await this.#reads.findRecord(did, collection, rkey))?.value
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  }

  commit(did: Did, writes: readonly RecordWrite[]): Promise<CommitResult> {
    return this.#as(did, (session) => applyWrites(session, writes))
  }

  uploadBlob(did: Did, bytes: Uint8Array, mimeType: string): Promise<BlobJson> {
    return this.#as(did, (session) => uploadBlob(session, bytes, mimeType))
  }

  async #as<T>(did: Did, action: (session: PdsSession) => Promise<T>): Promise<T> {
    const session = await this.#sessions.session(did)
    try {
      return await action(session)
    } catch (error) {
      throw pdsFailure(error, did)
    }
  }
}
