import { randomInt } from 'node:crypto'

import type { Identities } from '../../atproto/identity.ts'
import type { Did } from '../../atproto/syntax.ts'
import { AttemptLimit } from '../../lib/attempt-limit.ts'
import type { Now } from '../../lib/clock.ts'
import { cleanText } from '../../lib/format.ts'
import { randomId, sha256Hex } from '../../lib/ids.ts'
import { networkOf } from '../../lib/networks.ts'
import type { DeviceErrorCode } from '../../protocol/device/messages.ts'
import {
  decideDeviceGrant,
  deleteExcessDeviceGrants,
  deleteOldDeviceGrants,
  findDeviceGrant,
  findDeviceGrantByUserCode,
  insertDeviceGrant,
  notePoll,
  redeemDeviceGrant,
  type DeviceGrantRow,
} from '../db/device-grants.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import { cleanDeviceName, type Devices } from './devices.ts'
import type { Sealing } from './sealing.ts'

/** How long somebody has to type the code, and the machine to fetch its secret. */
export const deviceGrantSeconds = 10 * 60
export const pollSecondsDefault = 5
/** What each poll that came too soon adds (RFC 8628 §3.5), up to the most. */
const pollSecondsStep = 5
const pollSecondsMax = 60
/** Timers and the way here differ by less than this. */
const pollToleranceMs = 1000
/** How long a code that is over is still known for what it was. */
const keptSeconds = 3600
/** Rows at most; beyond that the oldest go, so that no flood of new ones shuts the door. */
const keptCountMax = 100_000
/** Codes that one network can ask for. */
const newCodeLimit = { countMax: 30, everySeconds: 20 }
/** Wrong codes that one account can type. Of 25 thousand million; and accounts cost a login, which is limited by network. */
const wrongCodeLimit = { countMax: 6, everySeconds: 60 }
/** Consonants, none of which looks like another: no words come about (RFC 8628 §6.1). */
const userCodeAlphabet = 'BCDFGHJKLMNPQRSTVWXZ'
const userCodeLength = 8
const userAgentLengthMax = 200

/** A pairing that has begun, as the machine is told of it. The codes rest here as hashes alone. */
export interface NewDeviceGrant {
  deviceCode: string
  /** `ABCD-EFGH` */
  userCode: string
}

export type DeviceGrantState = 'pending' | 'approved' | 'denied' | 'expired'

/** A pairing as the person sees it who is asked about it. */
export interface DeviceGrant {
  state: DeviceGrantState
  userCode: string
  /** Cleaned, yet a stranger's words. */
  deviceName: string
  userAgent: string
  address: string
  createdAt: Date
  expiresAt: Date
  /** Who approved or denied. */
  did?: Did
}

/** What came of a poll. */
export type Redemption =
  | { secret: string; did: Did; handle: string | undefined }
  | { error: Exclude<DeviceErrorCode, 'invalid_request'>; description: string }

interface Needs {
  db: AppViewDb
  devices: Pick<Devices, 'create' | 'checkCount'>
  identities: Pick<Identities, 'resolveDid'>
  sealing: Pick<Sealing, 'sign'>
  now: Now
  /** Pairings that are kept at most. Default: 100,000. */
  keptCountMax?: number
}

/** Pairing a machine with an account: it shows a code, a person approves the code in a browser (RFC 8628). */
export class DeviceGrants {
  readonly #needs: Needs
  readonly #newCodes: AttemptLimit
  readonly #wrongCodes: AttemptLimit

  constructor(needs: Needs) {
    this.#needs = needs
    this.#newCodes = new AttemptLimit({ now: needs.now, ...newCodeLimit })
    this.#wrongCodes = new AttemptLimit({ now: needs.now, ...wrongCodeLimit })
  }

  /** Begins a pairing. @throws {AppViewError} `rate_limited` when its network began too many */
  async create(device: { name: string; userAgent: string; address: string }): Promise<NewDeviceGrant> {
    const { db } = this.#needs
    const retryAfterSeconds = this.#newCodes.take(networkOf(device.address))
    if (retryAfterSeconds !== undefined)
      throw new AppViewError('rate_limited', 'too many logins were begun from your network; try again later', { retryAfterSeconds }) // prettier-ignore
    await this.deleteOld()
    await deleteExcessDeviceGrants(db, this.#needs.keptCountMax ?? keptCountMax)
    const deviceCode = randomId(32)
    const userCode = await this.#newUserCode()
    await insertDeviceGrant(db, {
      device_code_hash: sha256Hex(deviceCode),
      user_code_hash: this.#userCodeHash(userCode),
      status: 'pending',
      device_name: cleanDeviceName(device.name),
      user_agent: cleanText(device.userAgent, userAgentLengthMax),
      address: device.address,
      did: null,
      interval_seconds: pollSecondsDefault,
      polled_at: null,
      created_at: this.#at(0),
      expires_at: this.#at(deviceGrantSeconds),
    })
    return { deviceCode, userCode }
  }

  /**
   * The pairing with a code as a person typed it; undefined for one that was never given out or is long over. That is
   * counted against who asks, wherever from. @throws {AppViewError} `login_blocked` after too many wrong codes
   */
  async find(typedCode: string, did: Did): Promise<DeviceGrant | undefined> {
    const userCode = parseUserCode(typedCode)
    const row = await this.#findRow(userCode, did)
    return row && userCode !== undefined ? this.#grant(row, userCode) : undefined
  }

  /**
   * Says yes or no to a pairing. Answers with the pairing as it is now: whoever was first has decided.
   * @throws {AppViewError} `login_blocked` after too many wrong codes; `device_limit` when no more devices can be paired
   */
  async decide(
    typedCode: string,
    verdict: 'approved' | 'denied',
    did: Did,
  ): Promise<DeviceGrant | undefined> {
    const { db, devices } = this.#needs
    const userCode = parseUserCode(typedCode)
    const row = await this.#findRow(userCode, did)
    if (row === undefined || userCode === undefined) return undefined
    if (verdict === 'approved') await devices.checkCount(did)
    await decideDeviceGrant(db, row.device_code_hash, { status: verdict, did, now: this.#at(0) })
    return this.#grant((await findDeviceGrant(db, row.device_code_hash)) ?? row, userCode)
  }

  /** Throws away those that were over an hour ago. */
  deleteOld(): Promise<void> {
    return deleteOldDeviceGrants(this.#needs.db, this.#at(-keptSeconds))
  }

  /** The machine asks what came of it; the secret is given once (RFC 8628 §3.5). */
  async redeem(deviceCode: string): Promise<Redemption> {
    const row = await findDeviceGrant(this.#needs.db, sha256Hex(deviceCode))
    if (row === undefined || row.status === 'redeemed')
      return refusal('expired_token', 'this device code is not known, was used, or is over; begin again')
    if (row.status === 'denied') return refusal('access_denied', 'the login was denied')
    if (this.#isOver(row)) return refusal('expired_token', 'the code was not approved in time; begin again')
    if (row.status === 'pending') return this.#notePoll(row)
    return this.#pair(row)
  }

  async #pair(row: DeviceGrantRow): Promise<Redemption> {
    const { db, devices, identities } = this.#needs
    const did = row.did as Did
    const handle = await identities.resolveDid(did).then(
      (identity) => identity.handle,
      () => undefined,
    )
    const device = { name: row.device_name, address: row.address, handle }
    try {
      return await db.transaction().execute(async (tx) => {
        if (!(await redeemDeviceGrant(tx, row.device_code_hash)))
          return refusal('expired_token', 'this device code was used')
        const { secret } = await devices.create(did, device, tx)
        return { secret, did, handle }
      })
    } catch (error) {
      if (error instanceof AppViewError && error.code === 'device_limit')
        return refusal('access_denied', error.message)
      throw error
    }
  }

  async #notePoll(row: DeviceGrantRow): Promise<Redemption> {
    const { db, now } = this.#needs
    const { device_code_hash, interval_seconds, polled_at } = row
    const nowMs = now().getTime()
    const at = new Date(nowMs).toISOString()
    const waitedMs = polled_at === null ? Number.POSITIVE_INFINITY : nowMs - Date.parse(polled_at)
    if (waitedMs + pollToleranceMs >= interval_seconds * 1000) {
      await notePoll(db, device_code_hash, { at, intervalSeconds: interval_seconds })
      return refusal('authorization_pending', 'nobody has approved it yet')
    }
    const intervalSeconds = Math.min(interval_seconds + pollSecondsStep, pollSecondsMax)
    // A machine that does not listen costs no more writes than one that does.
    if (interval_seconds < pollSecondsMax) await notePoll(db, device_code_hash, { at, intervalSeconds })
    return refusal('slow_down', `ask no more often than every ${intervalSeconds} seconds`)
  }

  /** A wrong code is taken before anything is looked up, so that a blocked guess learns nothing. No success forgives. */
  async #findRow(userCode: string | undefined, did: Did): Promise<DeviceGrantRow | undefined> {
    const retryAfterSeconds = this.#wrongCodes.take(did)
    if (retryAfterSeconds !== undefined)
      throw new AppViewError('login_blocked', 'too many wrong codes; wait before the next one', {
        retryAfterSeconds,
      })
    const row =
      userCode === undefined
        ? undefined
        : await findDeviceGrantByUserCode(this.#needs.db, this.#userCodeHash(userCode))
    if (row !== undefined) this.#wrongCodes.giveBack(did)
    return row
  }

  async #newUserCode(): Promise<string> {
    for (;;) {
      const letters = Array.from(
        { length: userCodeLength },
        () => userCodeAlphabet[randomInt(userCodeAlphabet.length)],
      )
      const userCode = formatUserCode(letters.join(''))
      if ((await findDeviceGrantByUserCode(this.#needs.db, this.#userCodeHash(userCode))) === undefined)
        return userCode
    }
  }

  /** Keyed: all short codes could be tried against a plain hash. */
  #userCodeHash(userCode: string): string {
    return this.#needs.sealing.sign('user code', userCode)
  }

  #grant(row: DeviceGrantRow, userCode: string): DeviceGrant {
    const state = row.status === 'redeemed' ? 'approved' : row.status
    return {
      state: (state === 'pending' || row.status === 'approved') && this.#isOver(row) ? 'expired' : state,
      userCode,
      deviceName: row.device_name,
      userAgent: row.user_agent,
      address: row.address,
      createdAt: new Date(row.created_at),
      expiresAt: new Date(row.expires_at),
      ...(row.did !== null && { did: row.did }),
    }
  }

  #isOver(row: DeviceGrantRow): boolean {
    return row.expires_at <= this.#at(0)
  }

  #at(seconds: number): string {
    return new Date(this.#needs.now().getTime() + seconds * 1000).toISOString()
  }
}

/** A code as somebody typed it → `ABCD-EFGH`: case, blanks and dashes do not matter. Undefined for what cannot be one. */
export function parseUserCode(text: string): string | undefined {
  const letters = text.toUpperCase().replaceAll(/[\s\p{Pd}_.]/gu, '')
  const isCode = letters.length === userCodeLength && Array.from(letters).every((letter) => userCodeAlphabet.includes(letter)) // prettier-ignore
  return isCode ? formatUserCode(letters) : undefined
}

function formatUserCode(letters: string): string {
  return `${letters.slice(0, userCodeLength / 2)}-${letters.slice(userCodeLength / 2)}`
}

function refusal(
  error: Exclude<DeviceErrorCode, 'invalid_request'>,
  description: string,
): Extract<Redemption, { error: string }> {
  return { error, description }
}
