import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { logger } from '../../lib/log.ts'
import type { ManifestRecord } from '../../protocol/lexicon/manifest-record.ts'
import { digestAlgorithm, digestOfBytes } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type { OwnerAccount, OwnerManifests } from '../ports/owner-manifests.ts'
import type { Access } from './access.ts'
import { manifestUriOf, type Layers } from './layers.ts'
import type { Moderation } from './moderation.ts'

const log = logger('hold:gc')

interface Needs {
  owners: Pick<OwnerManifests, 'findManifestBytes'>
  layers: Pick<Layers, 'recordPush'>
  access: Pick<Access, 'decide'>
  moderation: Pick<Moderation, 'coversManifest' | 'noteRepositories'>
  holdDid: Did
  publicUrl: string
}

/**
 * Takes in manifests that this hold was never told of (its database was lost, an AppView gave up telling): as a notice
 * of the push would, for those who may push here.
 */
export class ManifestAdoption {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Whether a manifest says that its blobs are here. */
  isOurs({ holdDid, holdEndpoint }: ManifestRecord): boolean {
    if (holdDid !== undefined) return normalizeDid(holdDid) === normalizeDid(this.#needs.holdDid)
    return holdEndpoint?.replace(/\/+$/, '') === this.#needs.publicUrl
  }

  /** Notes the layers of a manifest; false when it could not be read, so that nobody knows what it names. */
  async adopt(account: OwnerAccount, record: ManifestRecord): Promise<boolean> {
    const { access, layers, moderation } = this.#needs
    if (record.isComplete && record.config === undefined && record.layers.length === 0) return true
    const { repository, repositories, digest } = record
    if (!(await access.decide(account.did, 'blob:write')).isAllowed) return true
    const uri = manifestUriOf({ ownerDid: account.did, digest })
    // Taken down, perhaps for good: its layers are not to come back this way.
    if (moderation.coversManifest({ manifestUri: uri, userDid: account.did, repositories })) return true
    const manifest = record.isComplete ? manifestOf(record) : await this.#read(account, record)
    if (manifest === undefined) return false
    const notice = { ownerDid: account.did, repository, digest }
    try {
      const count = await layers.recordPush(notice, manifest)
      await moderation.noteRepositories([{ manifestUri: uri, repositories }])
      if (count > 0) log.info({ did: account.did, digest: record.digest, layers: count }, 'took in a manifest that nobody told of') // prettier-ignore
      return true
    } catch (err) {
      if (!(err instanceof HoldError)) throw err
      log.warn({ err, did: account.did, digest: record.digest }, 'a manifest could not be taken in')
      return false
    }
  }

  /** In which repositories manifests are that were told of, as a lost database would not know. */
  async noteRepositories(ownerDid: Did, records: readonly ManifestRecord[]): Promise<void> {
    const { moderation } = this.#needs
    await moderation.noteRepositories(
      records.map(({ digest, repositories }) => ({
        manifestUri: manifestUriOf({ ownerDid, digest }),
        repositories,
      })),
    )
  }

  async #read(account: OwnerAccount, { manifestBlob, digest }: ManifestRecord): Promise<unknown> {
    if (manifestBlob === undefined) return undefined
    const bytes = await this.#needs.owners.findManifestBytes(account, manifestBlob.cid)
    if (bytes === undefined || digestOfBytes(bytes, digestAlgorithm(digest)) !== digest) return undefined
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
    } catch {
      return undefined
    }
  }
}

function manifestOf({ config, layers }: ManifestRecord) {
  return { ...(config === undefined ? {} : { config }), layers }
}
