import { isIPv6 } from 'node:net'

import type { Now } from '../../lib/clock.ts'
import { AttemptLimits } from './attempt-limits.ts'

/** A secret shown for an account (handle or DID, as it was typed) from an address. */
export interface LoginAttempt {
  account: string
  address: string
}

/** Wrong secrets an hour from one address for one account before each costs time: a typo or two. */
const pairFreeCount = 5
/** … from one address, whatever the account: an office behind one address, but no list of names. */
const addressFreeCount = 20
/** … for one account, wherever they come from. A PDS allows 30 sign-ins in five minutes and 300 a day. */
const accountFreeCount = 20
const trustedCountMax = 50_000

/**
 * Slows down guessing by one address, at one account, and by many addresses at one account. Nobody can lock another
 * person out: whoever checks a secret asks here only when it is not known to be good, and an address where this account
 * signed in before does not suffer from what others do. In memory, per instance: N instances allow N times as much.
 */
export class LoginLimits {
  readonly #pairs: AttemptLimits
  readonly #addresses: AttemptLimits
  readonly #accounts: AttemptLimits
  readonly #trusted = new Set<string>()

  constructor(needs: { now: Now }) {
    this.#pairs = new AttemptLimits({ ...needs, freeCount: pairFreeCount })
    this.#addresses = new AttemptLimits({ ...needs, freeCount: addressFreeCount })
    this.#accounts = new AttemptLimits({ ...needs, freeCount: accountFreeCount })
  }

  /** @throws {AppViewError} `login_blocked` with the seconds left */
  check(attempt: LoginAttempt): void {
    const { pair, account, address } = keysOf(attempt)
    this.#pairs.check(pair)
    if (this.#trusted.has(pair)) return
    this.#addresses.check(address)
    this.#accounts.check(account)
  }

  noteFailure(attempt: LoginAttempt): void {
    const { pair, account, address } = keysOf(attempt)
    this.#pairs.noteFailure(pair)
    // Its own limit is enough for one that is known: its old secrets are no attack on others.
    if (this.#trusted.has(pair)) return
    this.#addresses.noteFailure(address)
    this.#accounts.noteFailure(account)
  }

  /** Forgives what this address did wrong for this account, and nothing else: an attacker has an account of his own. */
  noteSuccess(attempt: LoginAttempt): void {
    this.#pairs.noteSuccess(keysOf(attempt).pair)
    this.noteKnown(attempt)
  }

  /** A secret that was good before came from here; that forgives nothing, because a guesser may share the address. */
  noteKnown(attempt: LoginAttempt): void {
    const { pair } = keysOf(attempt)
    this.#trusted.delete(pair)
    if (this.#trusted.size >= trustedCountMax) this.#trusted.delete(this.#trusted.keys().next().value as string) // prettier-ignore
    this.#trusted.add(pair)
  }
}

function keysOf(attempt: LoginAttempt) {
  const account = attempt.account.toLowerCase().slice(0, 300)
  const address = networkOf(attempt.address)
  return { account, address, pair: `${account} ${address}` }
}

/** What one customer of a network has: an IPv4 address, or the first 64 bits of an IPv6 address. */
function networkOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (mapped !== undefined) return mapped
  const [plain = ''] = address.split('%')
  if (!isIPv6(plain)) return address
  const [head = '', tail = ''] = plain.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const tailGroups = tail.split(':').filter((group) => group !== '')
  const isShortened = plain.includes('::')
  const zeros = isShortened ? Array.from({ length: 8 - groups.length - tailGroups.length }, () => '0') : []
  const all = [...groups, ...zeros, ...tailGroups]
  return `${all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64` // prettier-ignore
}
