import type { Did } from '../../atproto/syntax.ts'
import { deviceSecretPrefix } from '../../protocol/device/messages.ts'
import type { Devices } from './devices.ts'
import type { PdsAccounts } from './pds-accounts.ts'

/** Who showed a secret at the token endpoint, and by what: what is given out for it is good only as long as that is. */
export interface RegistryLogin {
  did: Did
  by: { kind: 'device'; deviceId: string } | { kind: 'app_password'; passwordHash: string }
}

interface Needs {
  devices: Pick<Devices, 'logIn'>
  pdsAccounts: Pick<PdsAccounts, 'logIn'>
}

/** The two ways of clients to sign in: the secret of a paired device, or an app password of the account's PDS. */
export class RegistryLogins {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Who `actor` (handle or DID) is, if `secret` is his; `isNew` when it was not seen before. `address` is where the
   * request came from.
   * @throws {AppViewError} `login_failed`, `login_blocked`, `rate_limited`, `pds_unreachable`, `identity_unreachable`
   */
  async logIn(actor: string, secret: string, address: string): Promise<RegistryLogin & { isNew: boolean }> {
    if (secret.startsWith(deviceSecretPrefix)) {
      const { did, deviceId } = await this.#needs.devices.logIn(actor, secret, address)
      // Who paired it signed in for that.
      return { did, by: { kind: 'device', deviceId }, isNew: false }
    }
    const { did, passwordHash, isNew } = await this.#needs.pdsAccounts.logIn(actor, secret, address)
    return { did, by: { kind: 'app_password', passwordHash }, isNew }
  }
}
