import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { findPdsBlob, findRecord, listRecords, type FetchedRecord } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import { ByteLimitError } from '../../lib/streams.ts'
import { AppViewError } from '../errors.ts'
import type { PdsBlobs } from '../ports/pds-blobs.ts'
import { pdsFailure } from './failures.ts'

const recordCountMax = 100

/** What anyone may read in anyone's PDS. Accounts that do not exist have no records. */
export class PdsReads implements PdsBlobs {
  readonly #identities: Pick<Identities, 'resolveDid'>
  readonly #fetch: Fetch

  constructor(needs: { identities: Pick<Identities, 'resolveDid'>; fetch: Fetch }) {
    this.#identities = needs.identities
    this.#fetch = needs.fetch
  }

  /** @throws {AppViewError} `pds_unreachable`, `identity_unreachable`, `rate_limited` */
  async findRecord(did: Did, collection: string, rkey: string): Promise<FetchedRecord | undefined> {
    const pdsUrl = await this.#pdsUrl(did)
    if (pdsUrl === undefined) return undefined
    try {
      return await findRecord({ serviceUrl: pdsUrl, fetch: this.#fetch }, did, collection, rkey)
    } catch (error) {
      // A PDS refuses to show accounts that moved, were deactivated or taken down.
      if (error instanceof AtprotoError && error.code === 'xrpc_refused') return undefined
      throw pdsFailure(error, did)
    }
  }

  /** The first records of a collection, a hundred at most. @throws {AppViewError} as above */
  async listRecords(did: Did, collection: string): Promise<FetchedRecord[]> {
    const pdsUrl = await this.#pdsUrl(did)
    if (pdsUrl === undefined) return []
    try {
      return await Array.fromAsync(
        listRecords({ serviceUrl: pdsUrl, fetch: this.#fetch }, did, collection, recordCountMax),
      )
    } catch (error) {
      if (error instanceof AtprotoError && error.code === 'xrpc_refused') return []
      throw pdsFailure(error, did)
    }
  }

  /** A PDS blob of at most `bytesMax` bytes; bigger ones count as absent. @throws {AppViewError} as above */
  async findBlob(did: Did, cid: string, bytesMax: number): Promise<Uint8Array | undefined> {
    const pdsUrl = await this.#pdsUrl(did)
    if (pdsUrl === undefined) return undefined
    try {
      return await findPdsBlob({ pdsUrl, fetch: this.#fetch }, did, cid, bytesMax)
    } catch (error) {
      if (error instanceof ByteLimitError) return undefined
      throw pdsFailure(error, did)
    }
  }

  async #pdsUrl(did: Did): Promise<string | undefined> {
    try {
      return (await this.#identities.resolveDid(did)).pdsUrl
    } catch (error) {
      if (error instanceof AtprotoError && error.code !== 'unreachable') return undefined
      throw new AppViewError('identity_unreachable', `could not look up ${did}`, { cause: error })
    }
  }
}
