import type { Did } from '../../atproto/syntax.ts'
import { waitAtMost } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { retry } from '../../lib/retry.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import type { SailorProfiles } from '../ports/sailor-profiles.ts'
import type { Holds } from '../services/holds.ts'

const attemptCountMax = 3
const stopPatienceMs = 10_000
const passing: readonly AppViewErrorCode[] = ['pds_unreachable', 'hold_unreachable', 'identity_unreachable']

interface Needs {
  profiles: SailorProfiles
  holds: Pick<Holds, 'pushHold' | 'checkWrite'>
  defaultHoldDid: Did
  log: Logger
  /** Before the second try. */
  delayMs: number
  /** Told of each login before anything is done for it. */
  onLogin: (did: Did) => void
}

/**
 * What an account needs to push, made while it signs in: a profile that names its hold, and a place in that hold's crew.
 * No login waits for it. What does not succeed is tried again at the next login, and a push asks the hold itself.
 */
export class SailorSetups {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  readonly #running = new Map<Did, Promise<void>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Somebody signed in. */
  begin(did: Did): void {
    this.#needs.onLogin(did)
    if (this.#running.has(did) || this.#stop.signal.aborted) return
    const setup = this.#setUp(did)
      .catch((err: unknown) =>
        this.#needs.log.warn({ err, did }, 'an account was not set up; its next login tries again'),
      ) // prettier-ignore
      .finally(() => this.#running.delete(did))
    this.#running.set(did, setup)
  }

  /** Resolves once nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(stopPatienceMs, this.idle())
  }

  async #setUp(did: Did): Promise<void> {
    const { log } = this.#needs
    if (await this.#patiently(() => this.#createProfile(did))) log.info({ did }, 'a profile was created')
    await this.#patiently(() => this.#joinCrew(did))
  }

  /** A profile that is there stays as it is, whatever it says: one without a hold is of somebody who opted out. */
  async #createProfile(did: Did): Promise<boolean> {
    const { defaultHoldDid, profiles } = this.#needs
    const chosen = await profiles.findDefaultHold(did)
    return chosen === 'none' ? false : profiles.create(did, { defaultHoldDid: chosen ?? defaultHoldDid })
  }

  async #joinCrew(did: Did): Promise<void> {
    const { holds, log } = this.#needs
    try {
      await holds.checkWrite(await holds.pushHold(did), did)
    } catch (err) {
      const isSettled = err instanceof AppViewError && !passing.includes(err.code)
      if (!isSettled) throw err
      log.info({ err, did }, 'an account may not push to its hold yet')
    }
  }

  #patiently<T>(action: () => Promise<T>): Promise<T> {
    return retry(action, {
      attemptCountMax,
      delayMs: this.#needs.delayMs,
      isPassing: (error) => error instanceof AppViewError && passing.includes(error.code),
      signal: this.#stop.signal,
    })
  }
}
