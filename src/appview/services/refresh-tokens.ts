import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId, sha256Hex } from '../../lib/ids.ts'
import {
  deleteExpiredRefreshTokens,
  deletePasswordRefreshTokens,
  deleteRefreshTokens,
  deleteSurplusRefreshTokens,
  findRefreshToken,
  insertRefreshToken,
  touchRefreshToken,
  type RefreshTokenRow,
} from '../db/refresh-tokens.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { Devices } from './devices.ts'
import type { PdsAccounts } from './pds-accounts.ts'
import type { RegistryLogin } from './registry-logins.ts'

/** How long a refresh token is good after its last use. */
export const refreshTokenLifetimeSeconds = 90 * 86_400
/** Use is noted no more often than this. */
const touchSeconds = 3600
/** Refresh tokens of one device or app password; the one used longest ago gives way. A CI job leaves one behind. */
export const refreshTokenCountMax = 200
const prefix = 'atcr_refresh_'
const clientIdLengthMax = 100

interface Needs {
  db: AppViewDb
  devices: Pick<Devices, 'noteUse'>
  pdsAccounts: Pick<PdsAccounts, 'prove'>
  now: Now
}

/**
 * What `docker login` keeps in place of a password (Distribution, "OAuth2 token authentication"): random, kept as a
 * hash, and good only as long as the device or app password it was given for. It is not replaced by being used, nor bound
 * to the client that got it, because several programs read the file that clients keep it in.
 */
export class RefreshTokens {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** A new token for whoever just showed a secret; `clientId` is what the client calls itself. */
  async create({ did, by }: RegistryLogin, clientId: string): Promise<string> {
    const { db, now } = this.#needs
    const token = `${prefix}${randomId(32)}`
    const usedAt = now()
    const row: RefreshTokenRow = {
      token_hash: sha256Hex(token),
      did,
      device_id: by.kind === 'device' ? by.deviceId : null,
      password_hash: by.kind === 'app_password' ? by.passwordHash : null,
      client_id: clientId.replaceAll(/[^ -~]/g, '').slice(0, clientIdLengthMax),
      created_at: usedAt.toISOString(),
      used_at: usedAt.toISOString(),
      expires_at: endAfter(usedAt),
    }
    await deleteExpiredRefreshTokens(db, row.created_at)
    await insertRefreshToken(db, row)
    await deleteSurplusRefreshTokens(db, row, refreshTokenCountMax)
    return token
  }

  /**
   * Whose token it is, and what it was given for, which is still good. `address` is where the request came from.
   * @throws {AppViewError} `login_failed` when it is unknown, expired, or what it was given for was revoked;
   *   `rate_limited`, `pds_unreachable` when that cannot be found out
   */
  async redeem(token: string, address: string): Promise<RegistryLogin> {
    const { db, now } = this.#needs
    const row = token.startsWith(prefix) ? await findRefreshToken(db, sha256Hex(token)) : undefined
    const usedAt = now()
    if (row === undefined || row.expires_at <= usedAt.toISOString()) throw refused()
    const by = await this.#findReason(row, address).catch(async (error: unknown) => {
      if (error instanceof AppViewError && error.code === 'login_failed')
        await deleteRefreshTokens(db, [row.token_hash])
      throw error
    })
    if (usedAt.getTime() - Date.parse(row.used_at) >= touchSeconds * 1000) {
      const times = { used_at: usedAt.toISOString(), expires_at: endAfter(usedAt) }
      await touchRefreshToken(db, row.token_hash, times)
    }
    return { did: row.did, by }
  }

  /** Those that were given for app passwords of an account end; those of its devices end with the device. */
  deleteOfPasswords(did: Did): Promise<void> {
    return deletePasswordRefreshTokens(this.#needs.db, did)
  }

  /** The device or password behind a token. @throws {AppViewError} `login_failed` when it is gone */
  async #findReason(
    { did, device_id, password_hash }: RefreshTokenRow,
    address: string,
  ): Promise<RegistryLogin['by']> {
    if (device_id !== null) {
      if (!(await this.#needs.devices.noteUse(device_id, address))) throw refused()
      return { kind: 'device', deviceId: device_id }
    }
    if (password_hash === null) throw refused()
    await this.#needs.pdsAccounts.prove(did, password_hash)
    return { kind: 'app_password', passwordHash: password_hash }
  }
}

const refused = () =>
  new AppViewError('login_failed', 'this login has expired or was revoked; log in to the registry again')

const endAfter = (usedAt: Date) =>
  new Date(usedAt.getTime() + refreshTokenLifetimeSeconds * 1000).toISOString()
