import type { Kysely } from 'kysely'

import type { Label } from '../../atproto/labels.ts'
import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { BookkeepingTables, LabelRow } from '../db/bookkeeping-tables.ts'
import { findLabel, findLabelCursor, listLabels, putLabel, putLabelCursor } from '../db/labels.ts'
import {
  deleteManifestRepositories,
  insertManifestRepository,
  insertRemovedBlobs,
  listForgottenManifests,
  listManifestsNaming,
  listManifestsOf,
  listNotedManifests,
  listRemovalsOf,
  type NamingManifest,
} from '../db/moderated-manifests.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import {
  accountSubject,
  ownerOf,
  parseSubject,
  repositorySubject,
  type TakedownSubject,
} from './takedown-subjects.ts'

const log = logger('hold:moderation')

const takedown = '!takedown'
const pageSize = 200

/** Something that was taken down; times are ISO text. */
export interface Takedown {
  subject: TakedownSubject
  /** When this hold heard of it. */
  hiddenAt: string
  expiresAt: string | undefined
  /** When what it names is removed, unless the label is taken back until then. */
  removedFrom: string
}

interface Needs {
  database: Kysely<BookkeepingTables & StorageTables>
  /** Whose labels count; undefined: nobody's. */
  labelerDid: Did | undefined
  graceWindowMs: number
  now: Now
}

/**
 * What the labeler took down. It hides at once: blobs that nothing else names are not given out, and an account writes
 * no more. After the grace window its layers are removed, so that garbage collection frees the bytes; a label that is
 * taken back before restores everything. Labels in force are in memory, so that asking costs nothing while there are none.
 */
export class Moderation {
  readonly #needs: Needs
  #inForce: ReadonlyMap<TakedownSubject, LabelRow> = new Map()

  static async open(needs: Needs): Promise<Moderation> {
    const moderation = new Moderation(needs)
    await moderation.#reload()
    return moderation
  }

  private constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Whether an account, or one of its repositories, was taken down. */
  isTakenDown({ did, repository }: { did: Did; repository?: string | undefined }): boolean {
    if (this.#inForce.size === 0) return false
    if (this.#isInForce(accountSubject(did))) return true
    return repository !== undefined && this.#isInForce(repositorySubject(did, repository))
  }

  /** Whether everything that names a blob was taken down. One that nothing names is hidden from nobody. */
  async isHidden(digest: Digest): Promise<boolean> {
    if (this.#inForce.size === 0) return false
    const { database } = this.#needs
    let cursor = ''
    for (;;) {
      const manifests = await listManifestsNaming(database, digest, { cursor, limit: pageSize })
      if (manifests.some((manifest) => !this.#covers(manifest, () => true))) return false
      const last = manifests.at(-1)
      if (last !== undefined && manifests.length === pageSize) {
        cursor = last.manifestUri
        continue
      }
      if (cursor !== '' || last !== undefined) return true
      const removals = await listRemovalsOf(database, digest)
      return removals.some((subject) => this.#isInForce(subject))
    }
  }

  /** Notes that a manifest was pushed to a repository: its layers do not say so. */
  async notePush(manifestUri: string, repository: string): Promise<void> {
    await insertManifestRepository(this.#needs.database, manifestUri, repository)
  }

  /**
   * The same as the records of owners say, for manifests of which nothing is noted: their push was not told of, or the
   * database was lost. Only where there is a labeler who might ask.
   */
  async noteRepositories(manifests: readonly Omit<NamingManifest, 'userDid'>[]): Promise<void> {
    if (this.#needs.labelerDid === undefined) return
    const noted = await listNotedManifests(
      this.#needs.database,
      manifests.map((manifest) => manifest.manifestUri),
    )
    for (const { manifestUri, repositories } of manifests) {
      if (noted.has(manifestUri)) continue
      for (const repository of repositories) await this.notePush(manifestUri, repository)
    }
  }

  /** Whether nothing is left of a manifest to be seen: it, all of its repositories or its owner are taken down. */
  coversManifest(manifest: NamingManifest): boolean {
    return this.#inForce.size > 0 && this.#covers(manifest, () => true)
  }

  /** What is taken down now, the newest first. */
  list(): Takedown[] {
    return [...this.#inForce.values()]
      .filter(({ subject }) => this.#isInForce(subject))
      .map((row) => ({
        subject: row.subject,
        hiddenAt: row.hidden_at,
        expiresAt: row.expires_at ?? undefined,
        removedFrom: new Date(Date.parse(row.hidden_at) + this.#needs.graceWindowMs).toISOString(),
      }))
  }

  /** Where to go on reading the labeler's stream. */
  cursor(): Promise<number> {
    const { database, labelerDid } = this.#needs
    return labelerDid === undefined ? Promise.resolve(0) : findLabelCursor(database, normalizeDid(labelerDid))
  }

  /** Takes in labels of the labeler, and the cursor after them; both or neither. An older label changes nothing. */
  async apply(labels: readonly Label[], cursor: number): Promise<void> {
    const { labelerDid } = this.#needs
    if (labelerDid === undefined) return
    const database: Kysely<BookkeepingTables> = this.#needs.database
    const src = normalizeDid(labelerDid)
    const isChanged = await database.transaction().execute(async (transaction) => {
      let isChanged = false
      for (const label of labels) isChanged = (await this.#applyOne(transaction, src, label)) || isChanged
      await putLabelCursor(transaction, src, cursor)
      return isChanged
    })
    if (isChanged) await this.#reload()
  }

  /**
   * Removes the layers of what was taken down longer than the grace window ago, by `removeManifest`; how many manifests.
   * What is pushed there meanwhile goes the next time.
   */
  async removeOverdue(
    removeManifest: (manifestUri: string) => Promise<unknown>,
    signal: AbortSignal,
  ): Promise<number> {
    const { database } = this.#needs
    const isOverdue = (row: LabelRow) => this.#isOverdue(row)
    let count = 0
    for (const row of this.#inForce.values()) {
      if (!this.#isInForce(row.subject) || !isOverdue(row)) continue
      const manifests = await listManifestsOf(database, ownerOf(row.subject))
      const gone = manifests.filter((manifest) => this.#coversAs(row.subject, manifest, isOverdue))
      for (const { manifestUri } of gone) {
        if (signal.aborted) return count
        await insertRemovedBlobs(database, row.subject, manifestUri)
        await removeManifest(manifestUri)
        count += 1
      }
      if (gone.length > 0) log.info({ subject: row.subject, manifests: gone.length }, 'taken down for good')
    }
    return count
  }

  /** Forgets the repositories of manifests that name no blob any more; how many. */
  async forgetRepositories(signal: AbortSignal): Promise<number> {
    let count = 0
    let cursor: string | undefined = ''
    while (cursor !== undefined) {
      if (signal.aborted) break
      const page = await listForgottenManifests(this.#needs.database, { cursor, limit: pageSize })
      if (page.forgotten.length > 0) await deleteManifestRepositories(this.#needs.database, page.forgotten)
      count += page.forgotten.length
      cursor = page.cursor
    }
    return count
  }

  async #applyOne(database: Kysely<BookkeepingTables>, src: Did, label: Label): Promise<boolean> {
    const subject = label.val === takedown ? parseSubject(label.uri) : undefined
    if (subject === undefined) return false
    const known = await findLabel(database, { src, subject, val: takedown })
    if (known !== undefined && known.cts > label.createdAt) return false
    const nowText = this.#needs.now().toISOString()
    const wasInForce = known?.is_negated === 0 && (known.expires_at === null || known.expires_at > nowText)
    await putLabel(database, {
      src,
      subject,
      val: takedown,
      cts: label.createdAt,
      is_negated: label.isNegation ? 1 : 0,
      expires_at: label.expiresAt ?? null,
      hidden_at: wasInForce ? known.hidden_at : nowText,
    })
    log.info({ subject, isRestored: label.isNegation }, 'the labeler has spoken')
    return true
  }

  async #reload(): Promise<void> {
    const { database, labelerDid } = this.#needs
    if (labelerDid === undefined) return
    const rows = await listLabels(database, { src: normalizeDid(labelerDid), val: takedown })
    this.#inForce = new Map(rows.map((row) => [row.subject, row]))
  }

  #isInForce(subject: TakedownSubject): boolean {
    const row = this.#inForce.get(subject)
    return row !== undefined && (row.expires_at === null || row.expires_at > this.#needs.now().toISOString())
  }

  #isOverdue(row: LabelRow): boolean {
    return Date.parse(row.hidden_at) + this.#needs.graceWindowMs <= this.#needs.now().getTime()
  }

  /** Whether labels in force that `counts` accepts leave nothing of a manifest to be seen. */
  #covers(
    { manifestUri, userDid, repositories }: NamingManifest,
    counts: (row: LabelRow) => boolean,
  ): boolean {
    const did = userDid as Did
    const isCovered = (subject: TakedownSubject) => {
      const row = this.#inForce.get(subject)
      return row !== undefined && this.#isInForce(subject) && counts(row)
    }
    if (isCovered(accountSubject(did)) || isCovered(manifestUri)) return true
    return repositories.length > 0 && repositories.every((name) => isCovered(repositorySubject(did, name)))
  }

  /** The same, where `subject` has a part in it. */
  #coversAs(subject: TakedownSubject, manifest: NamingManifest, counts: (row: LabelRow) => boolean): boolean {
    const did = manifest.userDid as Did
    const subjects = manifest.repositories.map((name) => repositorySubject(did, name))
    const hasPart = [accountSubject(did), manifest.manifestUri, ...subjects].includes(subject)
    return hasPart && this.#covers(manifest, counts)
  }
}
