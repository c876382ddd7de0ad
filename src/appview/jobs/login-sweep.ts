import { sleep, waitAtMost, type Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { deleteExpiredLeases } from '../db/leases.ts'
import { deleteExpiredOAuthStates } from '../db/oauth-states.ts'
import { deleteExpiredRefreshTokens } from '../db/refresh-tokens.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { DeviceGrants } from '../services/device-grants.ts'
import type { SignOuts } from '../services/sign-outs.ts'
import type { WebSessions } from '../services/web-sessions.ts'

const firstDelayMs = 5 * 60_000
const intervalMs = 60 * 60_000
/** A lease that is over may be taken all the same; this is only so that names of accounts do not pile up. */
const leaseKeptMs = 60 * 60_000
const stopPatienceMs = 10_000

interface Needs {
  db: AppViewDb
  webSessions: Pick<WebSessions, 'deleteOld'>
  deviceGrants: Pick<DeviceGrants, 'deleteOld'>
  signOuts: Pick<SignOuts, 'endUnused'>
  log: Logger
  now: Now
}

/** Every hour: throws away what is over of logins, and gives back the OAuth tokens that nobody uses any more. */
export class LoginSweep {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  /** One round. What fails is logged, and holds up nothing else. */
  async sweep(): Promise<void> {
    const { db, deviceGrants, log, now, signOuts, webSessions } = this.#needs
    const at = now().toISOString()
    const steps = [
      () => webSessions.deleteOld(),
      () => deviceGrants.deleteOld(),
      () => deleteExpiredOAuthStates(db, at),
      () => deleteExpiredRefreshTokens(db, at),
      () => deleteExpiredLeases(db, now().getTime() - leaseKeptMs),
      () => signOuts.endUnused(this.#stop.signal),
    ]
    for (const step of steps) {
      if (this.#stop.signal.aborted) return
      await step().catch((err: unknown) => log.error({ err }, 'the sweep of logins failed'))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    // Servers that do not answer are not waited for: their tokens are forgotten by then.
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    for (let delayMs = firstDelayMs; !signal.aborted; delayMs = intervalMs) {
      await sleep(delayMs, signal).catch(() => undefined)
      await this.sweep()
    }
  }
}
