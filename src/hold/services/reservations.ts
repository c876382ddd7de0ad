import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { formatSize } from '../../lib/format-size.ts'
import type { KeyedLocks } from '../../lib/keyed-locks.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { findChargedBytes, findUsage } from '../db/charges.ts'
import {
  findKeptBytes,
  isAnnounced,
  releaseKept,
  setReserved,
  sumKeptBytes,
  sumReservedBytes,
} from '../db/reservations.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import { insertUpload, type UploadRow } from '../db/uploads.ts'
import { HoldError } from '../errors.ts'
import type { Allowance, Quotas } from './quotas.ts'
import { UploadFlow } from './upload-flow.ts'

/** How far ahead of its bytes an upload of unknown size reserves. What others of the same account need, it gives back. */
const reserveAheadBytes = 16 * 1024 * 1024
/** From then on a blob that others have as well is not held against its uploader. */
const keepLifetimeMs = 24 * 3_600_000

interface Needs {
  database: Kysely<StorageTables>
  quotas: Pick<Quotas, 'findAllowance'>
  /** Of each account, what is decided about its room is decided one after the other. */
  users: KeyedLocks
  now: Now
}

type OpenUpload = Pick<UploadRow, 'id' | 'user_did' | 'reserved_bytes' | 'free_bytes' | 'offset_bytes'>

/**
 * Room under an account's quota for what is not charged yet: open uploads (what they announced, or have received; in
 * the row of the upload, so that it goes with it), bytes on their way (in memory), and blobs that no manifest of the
 * account names so far. Nobody needs room on a hold without tiers, or as its captain.
 */
export class Reservations {
  readonly #needs: Needs
  /** By upload: requests whose bytes are flowing. */
  readonly #flows = new Map<string, UploadFlow>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Notes an upload that begins, if there is room for what it announces. @throws {HoldError} `quota_exceeded` */
  async begin(row: UploadRow): Promise<void> {
    const { database } = this.#needs
    // Who has room without end waits for nobody.
    if (await this.#isUnlimited(row.user_did)) return insertUpload(database, row)
    await this.alone(row.user_did, async () => {
      const allowance = await this.findAllowance(row.user_did)
      const freeBytes = allowance.limitBytes === undefined ? 0 : await this.#findFree(row)
      const wantedBytes = Math.max(row.reserved_bytes - freeBytes, freeBytes === 0 ? 1 : 0)
      await this.#check(row.user_did, allowance, { wantedBytes, except: undefined })
      await insertUpload(database, { ...row, free_bytes: freeBytes })
    })
  }

  /**
   * The flow of a request's bytes into an upload, at most one at a time. Dispose of it when the request is over. Bytes
   * that are said to be a blob the account has already need no room of their own, in one request at a time.
   */
  async open(row: OpenUpload, digest: Digest | undefined): Promise<UploadFlow> {
    const { limitBytes } = await this.findAllowance(row.user_did)
    const { id, user_did: userDid, offset_bytes: usedBytes } = row
    const ownBytes = limitBytes === undefined ? 0 : await this.#findOwnBytes(userDid, digest)
    // Nothing is awaited from this look until the flow is there.
    const isTold = [...this.#flows.values()].some(
      (flow) => flow.userDid === userDid && flow.digest === digest,
    )
    const flow = new UploadFlow({
      userDid,
      digest,
      usedBytes,
      freeBytes: Math.max(row.free_bytes, isTold ? 0 : ownBytes),
      grantedBytes: limitBytes === undefined ? Infinity : Math.max(row.reserved_bytes, usedBytes),
      grow: (totalBytes) => this.#grow(id, flow, totalBytes),
      close: () => void this.#flows.delete(id),
      alone: (work) => (limitBytes === undefined ? work() : this.alone(userDid, work)),
    })
    if (limitBytes !== undefined) this.#flows.set(id, flow)
    return flow
  }

  /** An upload needs room for so many bytes in all. @throws {HoldError} `quota_exceeded` */
  async reserve(row: OpenUpload, totalBytes: number): Promise<void> {
    if (totalBytes <= row.reserved_bytes || (await this.#isUnlimited(row.user_did))) return
    await this.alone(row.user_did, async () => {
      const allowance = await this.findAllowance(row.user_did)
      const wantedBytes = totalBytes - row.free_bytes
      await this.#check(row.user_did, allowance, { wantedBytes, except: row.id })
      await setReserved(this.#needs.database, row.id, { reserved_bytes: totalBytes })
    })
  }

  /**
   * An upload turned out to be this blob: room for all of it from now on, none when the account has it already.
   * @throws {HoldError} `quota_exceeded`
   */
  async settle(row: OpenUpload, blob: { digest: Digest; sizeBytes: number }): Promise<void> {
    const { database } = this.#needs
    const { id, user_did: userDid } = row
    if (await this.#isUnlimited(userDid)) return
    await this.alone(userDid, async () => {
      const allowance = await this.findAllowance(userDid)
      if (allowance.limitBytes === undefined) return
      const freeBytes = await this.#findOwnBytes(userDid, blob.digest)
      await this.#check(userDid, allowance, { wantedBytes: blob.sizeBytes - freeBytes, except: id })
      // With the digest in the row, a charge that goes away meanwhile takes back what is free about it.
      const change = { announced_digest: blob.digest, reserved_bytes: blob.sizeBytes, free_bytes: freeBytes }
      await setReserved(database, id, change)
      this.#flows.delete(id)
    })
  }

  /** Nothing else is decided about an account's room meanwhile. */
  alone<T>(userDid: string, work: () => Promise<T>): Promise<T> {
    return this.#needs.users.run(normalizeDid(userDid as Did), work)
  }

  findAllowance(userDid: string): Promise<Allowance> {
    return this.#needs.quotas.findAllowance(userDid as Did)
  }

  async #isUnlimited(userDid: string): Promise<boolean> {
    return (await this.findAllowance(userDid)).limitBytes === undefined
  }

  /** Charges were added in this transaction: do they fit? @throws {HoldError} `quota_exceeded` */
  async checkCharged(
    transaction: Kysely<StorageTables>,
    userDid: string,
    allowance: Allowance,
    addedBytes: number,
  ): Promise<void> {
    if (allowance.limitBytes === undefined || addedBytes === 0) return
    const takenBytes = await this.#sumTaken(transaction, userDid, undefined)
    if (takenBytes > allowance.limitBytes) throw exceeded(allowance, takenBytes - addedBytes, addedBytes)
  }

  /** Forgets what no longer counts. */
  async expire(): Promise<void> {
    const keptBefore = new Date(this.#needs.now().getTime() - keepLifetimeMs)
    await releaseKept(this.#needs.database, keptBefore.toISOString())
  }

  async #grow(uploadId: string, flow: UploadFlow, totalBytes: number): Promise<void> {
    await this.alone(flow.userDid, async () => {
      const allowance = await this.findAllowance(flow.userDid)
      if (allowance.limitBytes === undefined) return void (flow.grantedBytes = Infinity)
      const neededBytes = totalBytes - flow.freeBytes
      const remaining = async () =>
        (allowance.limitBytes ?? 0) - (await this.#sumTaken(this.#needs.database, flow.userDid, uploadId))
      let remainingBytes = await remaining()
      if (neededBytes > remainingBytes) {
        for (const other of this.#flows.values()) if (other.userDid === flow.userDid) other.giveBack()
        remainingBytes = await remaining()
      }
      if (neededBytes > remainingBytes) {
        throw exceeded(allowance, allowance.limitBytes - remainingBytes, neededBytes)
      }
      flow.grantedBytes = Math.min(totalBytes + reserveAheadBytes, remainingBytes + flow.freeBytes)
    })
  }

  async #check(
    userDid: string,
    allowance: Allowance,
    { wantedBytes, except }: { wantedBytes: number; except: string | undefined },
  ): Promise<void> {
    const { limitBytes } = allowance
    if (limitBytes === undefined || wantedBytes <= 0) return
    let takenBytes = await this.#sumTaken(this.#needs.database, userDid, except)
    if (takenBytes + wantedBytes <= limitBytes) return
    for (const flow of this.#flows.values()) if (flow.userDid === userDid) flow.giveBack()
    takenBytes = await this.#sumTaken(this.#needs.database, userDid, except)
    if (takenBytes + wantedBytes > limitBytes) throw exceeded(allowance, takenBytes, wantedBytes)
  }

  /** Bytes that count against an account's quota, apart from those of one upload. */
  async #sumTaken(
    database: Kysely<StorageTables>,
    userDid: string,
    except: string | undefined,
  ): Promise<number> {
    const flows = [...this.#flows].filter(([, flow]) => flow.userDid === userDid)
    const ids = flows.map(([id]) => id)
    const charged = (await findUsage(database, userDid))?.size_bytes ?? 0
    const kept = await sumKeptBytes(database, userDid)
    const reserved = await sumReservedBytes(database, userDid, except === undefined ? ids : [...ids, except])
    const flowing = flows.filter(([id]) => id !== except).map(([, flow]) => flow.takenBytes)
    return charged + kept + reserved + flowing.reduce((sum, bytes) => sum + bytes, 0)
  }

  /** Of an announced digest that the account has already, its size: to one upload at a time. */
  async #findFree(row: UploadRow): Promise<number> {
    const { user_did: userDid, announced_digest: digest } = row
    if (digest === null || (await isAnnounced(this.#needs.database, userDid, digest))) return 0
    return this.#findOwnBytes(userDid, digest)
  }

  /** The size of a blob that counts for the account already, named by a manifest or not; 0 of any other. */
  async #findOwnBytes(userDid: string, digest: string | undefined): Promise<number> {
    const { database } = this.#needs
    if (digest === undefined) return 0
    return (await findChargedBytes(database, userDid, digest)) ?? (await findKeptBytes(database, userDid, digest)) ?? 0 // prettier-ignore
  }
}

function exceeded({ limitBytes = 0, tier }: Allowance, takenBytes: number, wantedBytes: number): HoldError {
  const room = `${formatSize(takenBytes)} of the ${formatSize(limitBytes)} of tier ${tier} are taken`
  const message = `quota exceeded: ${room}, and this needs ${formatSize(wantedBytes)}`
  return new HoldError('quota_exceeded', message, { detail: { error: 'QuotaExceeded' } })
}
