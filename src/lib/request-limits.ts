import { isIP, type BlockList } from 'node:net'

import { networkOf } from './networks.ts'
import { MemoryRateCounter, type Rate, type RateCounter } from './rate-counter.ts'
import type { Now } from './clock.ts'

/** How much is allowed. */
export interface LimitSettings<Name extends string> {
  /** Of each kind, how many a minute; 0: as many as one likes. A minute's worth may come at once. */
  perMinute: Record<Name, number>
  isEnabled: boolean
  /** Addresses without limits. */
  exempt: BlockList
}

interface Needs {
  /** Shared with other instances; in memory unless told. */
  counter?: RateCounter
  now: Now
}

/**
 * How often one network, or one account, may ask for what costs. Kinds are those of the settings. Whoever takes one is told
 * for how many seconds to wait, or nothing: go on.
 */
export class RequestLimits<Name extends string> {
  #rates = new Map<Name, Rate>()
  /** Undefined when there are none: every read of the registry would ask an empty list. */
  #exempt: BlockList | undefined
  readonly #memory: MemoryRateCounter
  readonly #counter: RateCounter

  /** Limits nothing until it is told what. */
  constructor({ counter, now }: Needs) {
    this.#memory = new MemoryRateCounter({ now })
    this.#counter = counter ?? this.#memory
  }

  /** Goes by these settings from now on. What was taken stays taken of a limit that stays as it was. */
  apply({ exempt, isEnabled, perMinute }: LimitSettings<Name>): void {
    const limited = Object.entries<number>(perMinute).filter(([, count]) => isEnabled && count > 0)
    this.#rates = new Map(
      limited.map(([name, count]) => [name as Name, { name, countMax: count, everySeconds: 60 / count }]),
    )
    this.#exempt = exempt.rules.length > 0 ? exempt : undefined
  }

  /** One more of an address: of its IPv4 address, or of the /64 around an IPv6 address. */
  async ofAddress(name: Name, address: string): Promise<number | undefined> {
    const rate = this.#rates.get(name)
    if (rate === undefined || this.#isExempt(address)) return undefined
    return this.#counter.take(rate, networkOf(address))
  }

  /** The same, counted by this instance alone and without waiting: for what is asked for thousands of times a second. */
  ofAddressHere(name: Name, address: string): number | undefined {
    const rate = this.#rates.get(name)
    if (rate === undefined || this.#isExempt(address)) return undefined
    return this.#memory.takeNow(rate, networkOf(address))
  }

  /** One more of an account, wherever it comes from. */
  async ofAccount(name: Name, did: string): Promise<number | undefined> {
    const rate = this.#rates.get(name)
    return rate && this.#counter.take(rate, did)
  }

  #isExempt(address: string): boolean {
    if (this.#exempt === undefined) return false
    const family = isIP(address)
    return family !== 0 && this.#exempt.check(address, family === 4 ? 'ipv4' : 'ipv6')
  }
}
