import { AttemptLimit } from '../../lib/attempt-limit.ts'
import type { Now } from '../../lib/clock.ts'
import { networkOf } from '../../lib/networks.ts'
import { AppViewError } from '../errors.ts'

/** A password shown for an account (handle or DID, as it was typed) from an address. */
export interface LoginAttempt {
  account: string
  address: string
}

const minute = 60
/** From one network for one account: a typo or two. */
const pairLimit = { countMax: 6, everySeconds: 3 * minute }
/** From one network, whatever the account: an office behind one address, but no list of names. */
const networkLimit = { countMax: 20, everySeconds: minute }
/** For one account, wherever they come from. A PDS allows us 30 sign-ins of it in five minutes and 300 a day. */
const accountLimit = { countMax: 15, everySeconds: 15 * minute }
/** … and beyond that for those who try for the first time: the rest of what the PDS allows. */
const newcomerLimit = { countMax: 10, everySeconds: 10 * minute }
const trustedCountMax = 50_000

/**
 * Slows down guessing by one network, at one account, and by many networks at one account. Whoever checks a password asks
 * here only when it is not known to be good. A network where the account signed in before does not suffer from what others
 * do; nor does the first try from another one, unless more networks are guessing than a PDS would put up with.
 */
export class LoginLimits {
  readonly #pairs: AttemptLimit
  readonly #networks: AttemptLimit
  readonly #accounts: AttemptLimit
  readonly #newcomers: AttemptLimit
  readonly #trusted = new Set<string>()

  constructor(needs: { now: Now }) {
    this.#pairs = new AttemptLimit({ ...needs, ...pairLimit })
    this.#networks = new AttemptLimit({ ...needs, ...networkLimit })
    this.#accounts = new AttemptLimit({ ...needs, ...accountLimit })
    this.#newcomers = new AttemptLimit({ ...needs, ...newcomerLimit })
  }

  /**
   * Counts an attempt as a wrong one before it is made, so that a hundred at once are a hundred. What this returns is
   * called when the password was good. @throws {AppViewError} `login_blocked` with the seconds left
   */
  take(attempt: LoginAttempt): () => void {
    const { pair, account, network } = keysOf(attempt)
    const taken: [AttemptLimit, string][] = [[this.#pairs, pair]]
    // Its own limit is enough for one that is known: its old passwords are no attack on others.
    if (!this.#trusted.has(pair))
      taken.push([this.#networks, network], [this.#accountLimit(account, pair), account])
    const waitSeconds = Math.max(...taken.map(([limit, key]) => limit.waitSeconds(key)))
    if (waitSeconds > 0)
      throw new AppViewError('login_blocked', 'too many failed logins; wait before the next one', {
        retryAfterSeconds: waitSeconds,
      })
    for (const [limit, key] of taken) limit.take(key)
    return () => {
      for (const [limit, key] of taken) limit.giveBack(key)
      // What this network did wrong for this account is forgiven, and nothing else: an attacker has an account of his own.
      this.#pairs.forget(pair)
      this.noteKnown(attempt)
    }
  }

  /** A password that was good before came from here; that forgives nothing, because a guesser may share the address. */
  noteKnown(attempt: LoginAttempt): void {
    const { pair } = keysOf(attempt)
    this.#trusted.delete(pair)
    if (this.#trusted.size >= trustedCountMax) this.#trusted.delete(this.#trusted.keys().next().value as string) // prettier-ignore
    this.#trusted.add(pair)
  }

  #accountLimit(account: string, pair: string): AttemptLimit {
    const isNewcomer = this.#pairs.isFresh(pair) && this.#accounts.waitSeconds(account) > 0
    return isNewcomer ? this.#newcomers : this.#accounts
  }
}

function keysOf(attempt: LoginAttempt) {
  const account = attempt.account.toLowerCase().slice(0, 300)
  const network = networkOf(attempt.address)
  return { account, network, pair: `${account} ${network}` }
}
