import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { findPdsBlob } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import { callXrpc } from '../../atproto/xrpc-client.ts'
import * as getRecord from '../../protocol/lexicon/generated/com/atproto/repo/getRecord.ts'
import * as listRecords from '../../protocol/lexicon/generated/com/atproto/repo/listRecords.ts'
import * as getRepoStatus from '../../protocol/lexicon/generated/com/atproto/sync/getRepoStatus.ts'
import { manifestCollection } from '../../protocol/lexicon/manifest-record.ts'
import type { OwnedManifest, OwnerAccount, OwnerManifests, OwnerState } from '../ports/owner-manifests.ts'

const pageSize = 100
/** A PDS that lists more is not believed to come to an end. */
const pageCountMax = 10_000
/** What the registry takes of a manifest. */
const manifestBytesMax = 4 * 1024 * 1024

/** Public reads at the PDS that a DID document names; `fetch` guards against private addresses and endless answers. */
export class OwnerManifestsClient implements OwnerManifests {
  readonly #identities: Pick<Identities, 'resolveDid'>
  readonly #fetch: Fetch

  constructor(needs: { identities: Pick<Identities, 'resolveDid'>; fetch: Fetch }) {
    this.#identities = needs.identities
    this.#fetch = needs.fetch
  }

  async findAccount(did: Did): Promise<OwnerState> {
    try {
      const { pdsUrl } = await this.#identities.resolveDid(did, { fresh: true })
      if (pdsUrl === undefined) return { state: 'unsure', reason: 'its DID document names no PDS' }
      const account = { did, pdsUrl }
      const { body } = await callXrpc(this.#target(account), getRepoStatus.main, { params: { did } })
      if (body.active) return { state: 'active', account }
      const reason = `its PDS says it is ${body.status ?? 'inactive'}`
      return { state: body.status === 'deleted' ? 'gone' : 'unsure', reason }
    } catch (error) {
      return {
        state: saysGone(error) ? 'gone' : 'unsure',
        reason: error instanceof Error ? error.message : String(error),
      }
    }
  }

  async *listManifests(account: OwnerAccount): AsyncGenerator<readonly OwnedManifest[], void, undefined> {
    let cursor: string | undefined
    for (let count = 0; count < pageCountMax; count++) {
      const { body } = await callXrpc(this.#target(account), listRecords.main, {
        params: {
          repo: account.did,
          collection: manifestCollection,
          limit: pageSize,
          ...(cursor === undefined ? {} : { cursor }),
        },
      })
      yield body.records.map(({ uri, value }) => ({ rkey: uri.slice(uri.lastIndexOf('/') + 1), value }))
      if (body.cursor === undefined || body.records.length === 0 || body.cursor === cursor) return
      cursor = body.cursor
    }
    throw new AtprotoError('bad_answer', 'the list of manifests does not end')
  }

  async hasManifest(account: OwnerAccount, rkey: string): Promise<boolean> {
    try {
      await callXrpc(this.#target(account), getRecord.main, {
        params: { repo: account.did, collection: manifestCollection, rkey },
      })
      return true
    } catch (error) {
      // What a PDS says by message only may as well be about the account.
      const isAbsent = error instanceof AtprotoError && error.xrpcError === 'RecordNotFound'
      if (isAbsent) return false
      throw error
    }
  }

  findManifestBytes(account: OwnerAccount, blobCid: string): Promise<Uint8Array | undefined> {
    const source = { pdsUrl: account.pdsUrl, fetch: this.#fetch }
    return findPdsBlob(source, account.did, blobCid, manifestBytesMax)
  }

  #target({ pdsUrl }: OwnerAccount): { serviceUrl: string; fetch: Fetch } {
    return { serviceUrl: pdsUrl, fetch: this.#fetch }
  }
}

/** Only what is said of the account itself; a proxy that answers 404 says nothing. */
function saysGone(error: unknown): boolean {
  if (!(error instanceof AtprotoError)) return false
  return error.code === 'did_unresolved' || error.xrpcError === 'RepoNotFound'
}
