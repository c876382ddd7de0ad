import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import { isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { cleanText } from '../../lib/format.ts'
import { randomId, sha256Hex } from '../../lib/ids.ts'
import { deviceSecretPrefix } from '../../protocol/device/messages.ts'
import {
  countDevices,
  deleteDevice,
  deleteDevicesOf,
  findDevice,
  findDeviceBySecret,
  insertDevice,
  listDevices,
  renameDevice,
  touchDevice,
  type DeviceRow,
} from '../db/devices.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'

/** How many devices an account may have. */
export const deviceCountMax = 100
export const deviceNameLengthMax = 64
/** What a device is called that gave no name. */
const namelessDevice = 'unnamed device'
/** Use is noted no more often than this. */
const touchSeconds = 60

/** A device as its owner sees it in a list. */
export interface DeviceEntry {
  id: string
  name: string
  createdAt: Date
  usedAt?: Date
  /** Where it was used last; before its first use, where it was paired from. */
  address?: string
}

interface Needs {
  db: AppViewDb
  identities: Pick<Identities, 'resolveActor'>
  now: Now
}

/** Machines that were paired with an account. What rests here of their secrets cannot be used to sign in. */
export class Devices {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Pairs a machine; the secret is shown this once. `handle` is the account's at this time, `db` a transaction where
   * the device should be there only if other things are. @throws {AppViewError} `device_limit`
   */
  async create(
    did: Did,
    device: { name: string; address: string; handle?: string | undefined },
    db: AppViewDb = this.#needs.db,
  ): Promise<{ id: string; secret: string }> {
    await this.checkCount(did, db)
    const id = randomId()
    const secret = `${deviceSecretPrefix}${randomId(32)}`
    await insertDevice(db, {
      id,
      did,
      handle: device.handle?.toLowerCase() ?? null,
      name: cleanDeviceName(device.name),
      secret_hash: hashOf(secret),
      created_at: this.#needs.now().toISOString(),
      used_at: null,
      used_address: device.address,
    })
    return { id, secret }
  }

  /** @throws {AppViewError} `device_limit` when the account has as many as it may have */
  async checkCount(did: Did, db: AppViewDb = this.#needs.db): Promise<void> {
    if ((await countDevices(db, did)) < deviceCountMax) return
    throw new AppViewError(
      'device_limit',
      `an account has at most ${deviceCountMax} devices; revoke one that is no longer used, then log in again`,
    )
  }

  /**
   * Whose device it is. `actor` is the account's DID, its handle, or the handle under which the device was paired, which
   * goes on to be good after the account took another: the secret alone says whose it is. `address` is where the request
   * came from. Nothing is limited here: nobody guesses a secret of 256 bits, and who tried would lock nobody out.
   * @throws {AppViewError} `login_failed`, `identity_unreachable`
   */
  async logIn(actor: string, secret: string, address: string): Promise<{ did: Did; deviceId: string }> {
    const device = await findDeviceBySecret(this.#needs.db, hashOf(secret))
    if (device === undefined) {
      throw new AppViewError(
        'login_failed',
        'this device is not known, or its access was revoked; log in again',
      )
    }
    if (!(await this.#isOwner(actor, device)))
      throw new AppViewError('login_failed', 'this device belongs to another account')
    await this.#touch(device, address)
    return { did: device.did, deviceId: device.id }
  }

  /** The newest first. */
  async list(did: Did): Promise<DeviceEntry[]> {
    const rows = await listDevices(this.#needs.db, did)
    return rows.map((row) => ({
      id: row.id,
      name: row.name,
      createdAt: new Date(row.created_at),
      ...(row.used_at !== null && { usedAt: new Date(row.used_at) }),
      ...(row.used_address !== null && { address: row.used_address }),
    }))
  }

  /** It shows something that it was given for its secret. False when it was revoked. */
  async noteUse(id: string, address: string): Promise<boolean> {
    const device = await findDevice(this.#needs.db, id)
    if (device !== undefined) await this.#touch(device, address)
    return device !== undefined
  }

  rename(did: Did, id: string, name: string): Promise<void> {
    return renameDevice(this.#needs.db, { did, id }, cleanDeviceName(name))
  }

  /** It gets no more registry tokens; those it has end within minutes. */
  revoke(did: Did, id: string): Promise<void> {
    return deleteDevice(this.#needs.db, { did, id })
  }

  /** Every device of an account, also those that were approved and have not come for their secret yet. */
  revokeAll(did: Did): Promise<void> {
    return deleteDevicesOf(this.#needs.db, did)
  }

  async #touch({ id, used_at }: DeviceRow, address: string): Promise<void> {
    const usedAt = this.#needs.now()
    if (used_at !== null && usedAt.getTime() - Date.parse(used_at) < touchSeconds * 1000) return
    await touchDevice(this.#needs.db, id, { at: usedAt.toISOString(), address })
  }

  async #isOwner(actor: string, device: DeviceRow): Promise<boolean> {
    if (isDid(actor)) return normalizeDid(actor) === device.did
    if (actor.toLowerCase() === device.handle) return true
    try {
      const { did } = await this.#needs.identities.resolveActor(actor)
      return did === device.did
    } catch (cause) {
      if (!(cause instanceof AtprotoError)) throw cause
      if (cause.code !== 'unreachable') return false
      throw new AppViewError('identity_unreachable', `could not look up ${actor}`, { cause })
    }
  }
}

/** A stranger's name for a machine: one line of what can be seen, and not long. */
export function cleanDeviceName(name: string): string {
  const cleaned = cleanText(name, deviceNameLengthMax)
  return /^[\s\ufffd]*$/.test(cleaned) ? namelessDevice : cleaned
}

/** Enough for a secret of 256 bits, which nobody guesses. */
function hashOf(secret: string): string {
  return sha256Hex(secret)
}
