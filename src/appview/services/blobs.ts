import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import {
  deleteBlobLink,
  findBlobAnywhereOnHold,
  findBlobLink,
  findBlobLinks,
  putBlobLink,
  type BlobLink,
} from '../db/blob-links.ts'
import { RecentRows } from '../db/recent-rows.ts'
import type { AppViewTables, RepositoryKey } from '../db/schema.ts'
import { deleteUpload, listDirectUploads, type Upload } from '../db/uploads.ts'
import type { BlobLocation } from '../ports/hold-blobs.ts'
import type { HoldUploads } from '../ports/hold-uploads.ts'
import * as metrics from '../metrics.ts'
import type { Holds } from './holds.ts'

export type { BlobLink }

interface Needs {
  db: Database<AppViewTables>
  uploads: HoldUploads
  holds: Pick<Holds, 'canRead' | 'currentHold' | 'locateBlob' | 'pushHold' | 'checkWrite'>
  now: Now
}

/** One look at what became of direct uploads, and the one after it for those who came meanwhile. */
interface Settling {
  running: Promise<void>
  next: Promise<void> | undefined
}

const log = logger('appview:blobs')

/** Blobs as repositories see them: linked or not, whatever else their hold has. */
export class Blobs {
  readonly #needs: Needs
  readonly #links: RecentRows<BlobLink | undefined>
  readonly #direct: RecentRows<readonly Upload[]>
  readonly #settling = new Map<string, Settling>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#links = new RecentRows(needs.db)
    this.#direct = new RecentRows(needs.db)
  }

  /**
   * The blob, if it is linked in the repository and `reader` may read its hold. `uploader`, the reader unless told, is
   * whose direct uploads are looked at when it is not.
   */
  async find(
    repository: RepositoryKey,
    digest: Digest,
    reader: Did | undefined,
    uploader: Did | undefined = reader,
  ): Promise<BlobLink | undefined> {
    const { db, holds } = this.#needs
    const key = `${repository.ownerDid}/${repository.name}@${digest}`
    const findLink = () => this.#links.get(key, () => findBlobLink(db, repository, digest))
    let link = await findLink()
    if (link === undefined && uploader === repository.ownerDid) {
      await this.settleDirectUploads(uploader, repository)
      link = await findLink()
    }
    if (link === undefined || !(await holds.canRead(link.holdDid, reader))) return undefined
    return link
  }

  /**
   * The same for a writer who asks whether he has to send it: a blob on a hold that his pushes no longer go to has to be
   * sent again, since one manifest's blobs are on one hold. And the hold must say that it has it: see {@link isThere}.
   */
  async findForPush(repository: RepositoryKey, digest: Digest, writer: Did): Promise<BlobLink | undefined> {
    const found = await this.find(repository, digest, writer)
    if (found === undefined) return undefined
    const holdDid = await this.#needs.holds.pushHold(repository.ownerDid)
    const link = found.holdDid === holdDid ? found : await this.#follow(repository, found, writer)
    if (link.holdDid !== holdDid) return undefined
    return (await this.locate(repository, link, writer)) === undefined ? undefined : link
  }

  /**
   * Whether the hold has the bytes of a blob that {@link find} found: it lets go of what no manifest names. From when it
   * says so it keeps them for long enough that a manifest can be pushed. A hold that cannot be asked is given credit.
   */
  async isThere(repository: RepositoryKey, link: BlobLink, reader: Did | undefined): Promise<boolean> {
    try {
      return (await this.locate(repository, link, reader)) !== undefined
    } catch (err) {
      log.debug({ err, hold: link.holdDid }, 'a hold could not be asked for a blob')
      return true
    }
  }

  /** Those of the digests that are linked in the repository. */
  async findLinked(
    repository: RepositoryKey,
    digests: readonly Digest[],
    writer: Did,
  ): Promise<Map<string, BlobLink>> {
    let found = await findBlobLinks(this.#needs.db, repository, digests)
    if (!digests.every((digest) => found.has(digest))) {
      await this.settleDirectUploads(writer, repository)
      found = await findBlobLinks(this.#needs.db, repository, digests)
    }
    for (const [digest, link] of found) found.set(digest, await this.#follow(repository, link, writer))
    return found
  }

  /**
   * A link to a hold that was succeeded, as a link to the successor if that has the blob, which is then kept so.
   * Otherwise the link as it was.
   */
  async #follow(repository: RepositoryKey, link: BlobLink, writer: Did): Promise<BlobLink> {
    const { db, holds, now } = this.#needs
    const holdDid = await holds.currentHold(link.holdDid)
    if (holdDid === link.holdDid) return link
    const blob = { ownerDid: repository.ownerDid, digest: link.digest }
    const location = await holds.locateBlob(holdDid, writer, blob).catch(() => undefined)
    if (location === undefined) return link
    const moved = { ...link, holdDid }
    await putBlobLink(db, repository, { ...moved, createdAt: now().toISOString() })
    return moved
  }

  /** Where to read a blob that {@link find} found; `undefined` when the hold has lost it. */
  async locate(
    repository: RepositoryKey,
    link: BlobLink,
    reader: Did | undefined,
  ): Promise<BlobLocation | undefined> {
    const blob = { ownerDid: repository.ownerDid, digest: link.digest }
    return this.#needs.holds.locateBlob(link.holdDid, reader, blob)
  }

  /**
   * Links a blob that the writer may read elsewhere on the hold his pushes go to; without `from`, anywhere there.
   * `undefined` when that is not so, and the client then uploads it. `reader` is who the request may read `from` as:
   * nobody in particular when its token does not cover that repository.
   */
  async mount(
    repository: RepositoryKey,
    digest: Digest,
    options: { writer: Did; from?: { repository: RepositoryKey; reader: Did | undefined } | undefined },
  ): Promise<BlobLink | undefined> {
    const { db, holds } = this.#needs
    const holdDid = await holds.pushHold(repository.ownerDid)
    await holds.checkWrite(holdDid, options.writer)
    const source =
      options.from === undefined
        ? await findBlobAnywhereOnHold(db, holdDid, digest)
        : await this.find(options.from.repository, digest, options.from.reader, options.writer)
    if (source === undefined) return undefined
    // A hold that was succeeded by ours has handed its blobs on; whether this one too is asked below.
    if (source.holdDid !== holdDid && (await holds.currentHold(source.holdDid)) !== holdDid) return undefined
    if (!(await holds.canRead(holdDid, options.writer))) return undefined
    // Records of strangers may name blobs that no hold has: only the hold's word counts here.
    const blob = { ownerDid: repository.ownerDid, digest }
    const location = await holds.locateBlob(holdDid, options.writer, blob).catch(() => undefined)
    if (location === undefined) return undefined
    const link = { digest, holdDid, sizeBytes: source.sizeBytes }
    await putBlobLink(db, repository, { ...link, createdAt: this.#needs.now().toISOString() })
    return link
  }

  /** Takes a blob out of the repository; false when it was not there. The bytes are the hold's to collect. */
  async delete(repository: RepositoryKey, digest: Digest, account: Did): Promise<boolean> {
    // An upload that ended before this, and is linked only later, would bring the blob back.
    await this.settleDirectUploads(account, repository)
    return deleteBlobLink(this.#needs.db, repository, digest, this.#needs.now().toISOString())
  }

  /**
   * Links what the account uploaded straight to holds since: one `getUploadStatus` for all of it. Called only when a
   * digest is missed, so known content costs nothing.
   */
  async settleDirectUploads(accountDid: Did, repository: RepositoryKey): Promise<void> {
    const key = `${accountDid} ${repository.ownerDid}/${repository.name}`
    const known = this.#settling.get(key)
    if (known === undefined) return this.#beginSettling(key, accountDid, repository)
    // One that is under way may have asked before the caller's upload ended, so it is waited for and asked again: once
    // for all who wait.
    known.next ??= known.running
      .catch(() => undefined)
      .then(() => this.#beginSettling(key, accountDid, repository))
    return known.next
  }

  #beginSettling(key: string, accountDid: Did, repository: RepositoryKey): Promise<void> {
    const settling: Settling = { running: this.#settle(accountDid, repository), next: undefined }
    this.#settling.set(key, settling)
    settling.running = settling.running.finally(() => {
      if (settling.next === undefined) this.#settling.delete(key)
    })
    return settling.running
  }

  async #settle(accountDid: Did, repository: RepositoryKey): Promise<void> {
    const key = `${accountDid} ${repository.ownerDid}/${repository.name}`
    const open = await this.#direct.get(key, () => listDirectUploads(this.#needs.db, accountDid, repository))
    const byHold = Map.groupBy(open, (upload) => upload.holdDid)
    for (const [holdDid, uploads] of byHold) {
      for (let start = 0; start < uploads.length; start += 100) {
        await this.#settleAt(holdDid, accountDid, uploads.slice(start, start + 100))
      }
    }
  }

  async #settleAt(holdDid: Did, accountDid: Did, uploads: readonly Upload[]): Promise<void> {
    const ids = uploads.map((upload) => upload.holdUploadId)
    const answers = await this.#needs.uploads.listStatus({ holdDid, accountDid }, ids)
    if (answers.every(({ status }) => status === 'open')) return
    const byId = new Map(answers.map((answer) => [answer.uploadId, answer]))
    await this.#needs.db.transaction().execute(async (tx) => {
      for (const upload of uploads) {
        const answer = byId.get(upload.holdUploadId)
        if (answer === undefined || answer.status === 'open') continue
        if (answer.digest !== undefined && answer.size !== undefined) {
          const link = { digest: parseDigest(answer.digest), holdDid, sizeBytes: answer.size }
          await putBlobLink(tx, upload.repository, { ...link, createdAt: this.#needs.now().toISOString() })
        }
        await deleteUpload(tx, upload.id)
      }
    })
    for (const { status, digest, size } of answers) {
      if (status === 'open') continue
      const isStored = digest !== undefined && size !== undefined
      metrics.uploads.inc({ mode: 'direct', outcome: isStored ? 'stored' : 'failed' })
      if (!isStored) continue
      metrics.uploadBytes.inc({ mode: 'direct' }, size)
      log.info({ account: accountDid, hold: holdDid, digest, bytes: size, how: 'direct' }, 'push: the hold has a blob that came to it directly') // prettier-ignore
    }
  }
}
