import {
  applyWrites,
  getHead,
  listRecords,
  uploadBlob,
  type CommitResult,
  type FetchedRecord,
  type RecordWrite,
} from '../../atproto/pds-records.ts'
import type { PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import {
  manifestCollection,
  manifestRkey,
  parseManifestRecord,
  type ManifestRecord,
} from '../../protocol/lexicon/manifest-record.ts'
import { RecordError, type PdsBlobJson } from '../../protocol/lexicon/record.ts'
import { parseTagRecord, tagCollection, tagRkey, type TagRecord } from '../../protocol/lexicon/tag-record.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { manifestSizeBytesMax } from '../../protocol/oci/manifest.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'
import { AppViewError } from '../errors.ts'
import { pdsFailure } from './failures.ts'
import type { PdsReads } from './pds-reads.ts'

const listedCountMax = 20_000

/** Manifests and tags in their owner's PDS, by XRPC. */
export class PdsManifestsClient implements PdsManifests {
  readonly #sessions: { session(did: Did): Promise<PdsSession> }
  readonly #reads: PdsReads

  constructor(needs: { sessions: { session(did: Did): Promise<PdsSession> }; reads: PdsReads }) {
    this.#sessions = needs.sessions
    this.#reads = needs.reads
  }

  async uploadBytes(ownerDid: Did, bytes: Uint8Array, mediaType: string): Promise<PdsBlobJson> {
    return this.#asOwner(ownerDid, (session) => uploadBlob(session, bytes, mediaType))
  }

  async commit(
    ownerDid: Did,
    writes: readonly RecordWrite[],
    options: { swapCommit?: string } = {},
  ): Promise<CommitResult> {
    return this.#asOwner(ownerDid, (session) => applyWrites(session, writes, options))
  }

  async getHead(ownerDid: Did): Promise<string> {
    return this.#asOwner(ownerDid, (session) => getHead(session, ownerDid))
  }

  async listTagged(ownerDid: Did): Promise<ReadonlySet<Digest>> {
    return this.#listDigests(ownerDid, tagCollection, parseTagRecord)
  }

  async listManifests(ownerDid: Did): Promise<ReadonlySet<Digest>> {
    return this.#listDigests(ownerDid, manifestCollection, parseManifestRecord)
  }

  async findManifest(ownerDid: Did, digest: Digest): Promise<ManifestRecord | undefined> {
    const fetched = await this.#reads.findRecord(ownerDid, manifestCollection, manifestRkey(digest))
    const record = readable(fetched, parseManifestRecord)
    return record?.digest === digest ? record : undefined
  }

  #listDigests(
    ownerDid: Did,
    collection: string,
    parse: (value: unknown) => { digest: Digest },
  ): Promise<ReadonlySet<Digest>> {
    return this.#asOwner(ownerDid, async (session) => {
      const digests = new Set<Digest>()
      let count = 0
      for await (const fetched of listRecords(session, ownerDid, collection, listedCountMax)) {
        const digest = readable(fetched, parse)?.digest
        if (digest !== undefined) digests.add(digest)
        if (++count === listedCountMax)
          throw new AppViewError('pds_failed', `${ownerDid} has too many records to be looked through`)
      }
      return digests
    })
  }

  async findTag(ownerDid: Did, repository: string, tag: string): Promise<TagRecord | undefined> {
    const fetched = await this.#reads.findRecord(ownerDid, tagCollection, tagRkey(repository, tag))
    const record = readable(fetched, parseTagRecord)
    // `a_b` + `c` and `a` + `b_c` share a key.
    return record?.repository === repository && record.tag === tag ? record : undefined
  }

  async findBytes(ownerDid: Did, cid: string): Promise<Uint8Array | undefined> {
    return this.#reads.findBlob(ownerDid, cid, manifestSizeBytesMax)
  }

  async #asOwner<T>(ownerDid: Did, action: (session: PdsSession) => Promise<T>): Promise<T> {
    const session = await this.#sessions.session(ownerDid)
    try {
      return await action(session)
    } catch (error) {
      throw pdsFailure(error, ownerDid)
    }
  }
}

/** A record of a stranger's that is not what its collection promises counts as absent. */
function readable<T>(fetched: FetchedRecord | undefined, parse: (value: unknown) => T): T | undefined {
  if (fetched === undefined) return undefined
  try {
    return parse(fetched.value)
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
