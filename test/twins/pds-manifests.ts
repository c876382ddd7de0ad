import type { CommitResult, RecordWrite } from '../../src/atproto/pds-records.ts'
import { nextTid, type Did } from '../../src/atproto/syntax.ts'
import { AppViewError } from '../../src/appview/errors.ts'
import type { PdsManifests } from '../../src/appview/ports/pds-manifests.ts'
import {
  manifestRkey,
  parseManifestRecord,
  type ManifestRecord,
} from '../../src/protocol/lexicon/manifest-record.ts'
import type { PdsBlobJson } from '../../src/protocol/lexicon/record.ts'
import { parseTagRecord, tagRkey, type TagRecord } from '../../src/protocol/lexicon/tag-record.ts'
import { digestOfBytes, type Digest } from '../../src/protocol/oci/digest.ts'

/**
 * A PDS in memory with the manners of the reference one: creating what is there, or touching what is not, fails the
 * whole commit with a 500.
 */
export class PdsManifestsTwin implements PdsManifests {
  readonly records = new Map<string, Record<string, unknown>>()
  readonly blobs = new Map<string, Uint8Array>()
  readonly calls: string[] = []
  /** Fails the next commits with these (or not), after they took effect where `isDone` says so. */
  readonly failures: { error: AppViewError | undefined; isDone: boolean }[] = []
  /** Records that it fails to write whatever one does. */
  readonly refusedRkeys = new Set<string>()
  /** Writes of the largest commit it was asked for. */
  largestCommit = 0
  beforeCommit?: () => Promise<void>
  #commitCount = 0
  /** While set, nothing is done and this is said. */
  isDown?: AppViewError

  async uploadBytes(_ownerDid: Did, bytes: Uint8Array, mediaType: string): Promise<PdsBlobJson> {
    this.#note('uploadBytes')
    const cid = cidOf(bytes)
    this.blobs.set(cid, bytes)
    return { $type: 'blob', ref: { $link: cid }, mimeType: mediaType, size: bytes.byteLength }
  }

  async commit(
    ownerDid: Did,
    writes: readonly RecordWrite[],
    { swapCommit }: { swapCommit?: string } = {},
  ): Promise<CommitResult> {
    this.#note('commit')
    if (swapCommit !== undefined && swapCommit !== this.#head()) {
      throw new AppViewError('pds_conflict', 'another program wrote at the same moment')
    }
    this.#commitCount++
    this.largestCommit = Math.max(this.largestCommit, writes.length)
    await this.beforeCommit?.()
    const failure = this.failures.shift()
    if (failure?.error !== undefined && !failure.isDone) throw failure.error
    for (const { action, collection, rkey } of writes) {
      if (this.refusedRkeys.has(rkey)) throw new AppViewError('pds_failed', 'cannot write this')
      const isThere = this.records.has(`${ownerDid}/${collection}/${rkey}`)
      if (isThere !== (action !== 'create')) throw new AppViewError('pds_failed', 'Internal Server Error')
    }
    for (const write of writes) {
      const key = `${ownerDid}/${write.collection}/${write.rkey}`
      if (write.action === 'delete') this.records.delete(key)
      else this.records.set(key, write.value)
    }
    if (failure?.error !== undefined) throw failure.error
    return { cid: this.#head(), rev: nextTid() }
  }

  async getHead(): Promise<string> {
    this.#note('getHead')
    return this.#head()
  }

  async listTagged(ownerDid: Did): Promise<ReadonlySet<Digest>> {
    this.#note('listTagged')
    const tags = [...this.records].filter(([key]) => key.startsWith(`${ownerDid}/io.atcr.tag/`))
    return new Set(tags.map(([, value]) => parseTagRecord(value).digest))
  }

  async listManifests(ownerDid: Did): Promise<ReadonlySet<Digest>> {
    this.#note('listManifests')
    const manifests = [...this.records].filter(([key]) => key.startsWith(`${ownerDid}/io.atcr.manifest/`))
    return new Set(manifests.map(([, value]) => parseManifestRecord(value).digest))
  }

  async findManifest(ownerDid: Did, digest: Digest): Promise<ManifestRecord | undefined> {
    this.#note('findManifest')
    const value = this.records.get(`${ownerDid}/io.atcr.manifest/${manifestRkey(digest)}`)
    return value && parseManifestRecord(value)
  }

  async findTag(ownerDid: Did, repository: string, tag: string): Promise<TagRecord | undefined> {
    this.#note('findTag')
    const value = this.records.get(`${ownerDid}/io.atcr.tag/${tagRkey(repository, tag)}`)
    return value && parseTagRecord(value)
  }

  async findBytes(_ownerDid: Did, cid: string): Promise<Uint8Array | undefined> {
    this.#note('findBytes')
    return this.blobs.get(cid)
  }

  #head(): string {
    return `bafyreicommit${this.#commitCount}`
  }

  #note(call: string): void {
    this.calls.push(call)
    if (this.isDown !== undefined) throw this.isDown
  }
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** The CID of raw bytes: version 1, raw codec, sha256, in base32. */
function cidOf(bytes: Uint8Array): string {
  const hash = Buffer.from(digestOfBytes(bytes).slice('sha256:'.length), 'hex')
  const binary = Buffer.concat([Buffer.from([0x01, 0x55, 0x12, 0x20]), hash])
  const bits = [...binary].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const letters =
    bits.match(/.{1,5}/g)?.map((five) => alphabet[Number.parseInt(five.padEnd(5, '0'), 2)]) ?? []
  return `b${letters.join('')}`
}
