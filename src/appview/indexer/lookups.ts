import type { Logger } from '../../lib/log.ts'
import type { Did } from '../../atproto/syntax.ts'

/** Look-ups at once: enough to keep up, few enough not to be a burden on the directory. */
const concurrencyMax = 4
/** More DIDs waiting than this are dropped; the next event of theirs asks again. */
const waitingMax = 10_000
/** A server that does not answer gives its place back. */
const patienceMs = 30_000

/**
 * Things to find out over the network about a DID, behind the indexer's back so that no event waits for them: each
 * DID once at a time, a few DIDs at once. A failure is logged and forgotten; asking again tries again.
 */
export class Lookups {
  readonly #lookUp: (did: Did, signal: AbortSignal) => Promise<void>
  readonly #log: Logger
  readonly #waiting = new Set<Did>()
  readonly #running = new Map<Did, Promise<void>>()
  readonly #abort = new AbortController()
  readonly #patienceMs: number

  /** `lookUp` must end when its signal does. */
  constructor(needs: {
    lookUp: (did: Did, signal: AbortSignal) => Promise<void>
    log: Logger
    patienceMs?: number
  }) {
    this.#patienceMs = needs.patienceMs ?? patienceMs
    this.#lookUp = needs.lookUp
    this.#log = needs.log
  }

  /** Asks for a DID to be looked up soon. */
  request(did: Did): void {
    if (this.#abort.signal.aborted || this.#waiting.size >= waitingMax) return
    this.#waiting.add(did)
    this.#next()
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort()
    this.#waiting.clear()
    await this.idle()
  }

  #next(): void {
    for (const did of this.#waiting) {
      if (this.#running.size >= concurrencyMax) return
      if (this.#running.has(did)) continue
      this.#waiting.delete(did)
      this.#running.set(did, this.#run(did))
    }
  }

  async #run(did: Did): Promise<void> {
    try {
      await this.#lookUp(did, AbortSignal.any([this.#abort.signal, AbortSignal.timeout(this.#patienceMs)]))
    } catch (err) {
      if (!this.#abort.signal.aborted) this.#log.debug({ did, err }, 'look-up failed')
    } finally {
      this.#running.delete(did)
      this.#next()
    }
  }
}
