import type { Did } from '../../atproto/syntax.ts'
import { sleep, waitAtMost } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { AppViewError } from '../errors.ts'
import type { HoldNotifier } from '../ports/hold-notifier.ts'

const intervalMs = 5 * 60_000
/** Repositories with pulls that were not told of; beyond, the longest waiting are forgotten. */
const waitingCountMax = 20_000
/** Told to one hold in one round; the rest waits for the next. */
const noticesPerRoundMax = 500
/** As the method takes at once. */
const countPerNoticeMax = 10_000
const attemptCountMax = 12
const stopPatienceMs = 5_000

/** A manifest that somebody pulled. */
export interface Pull {
  holdDid: Did
  ownerDid: Did
  repository: string
  digest: Digest
  /** Undefined: nobody in particular. */
  reader: Did | undefined
}

interface Waiting extends Pull {
  count: number
  attempts: number
}

interface Needs {
  notifier: Pick<HoldNotifier, 'notify' | 'notifyAsNobody'>
  log: Logger
}

/**
 * Tells holds how often their repositories were pulled: counted in memory, which costs a pull nothing, and sent every
 * five minutes, one notice a repository. What waits when a process dies is lost: these are statistics.
 */
export class PullNotices {
  readonly #needs: Needs
  readonly #waiting = new Map<string, Waiting>()
  readonly #stop = new AbortController()
  #loop: Promise<void> | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  note(pull: Pull): void {
    const key = `${pull.holdDid} ${pull.ownerDid} ${pull.repository}`
    const known = this.#waiting.get(key)
    if (known !== undefined) {
      known.count += 1
      // A private hold hears it from whoever pulled last.
      known.reader = pull.reader ?? known.reader
      known.digest = pull.digest
      return
    }
    if (this.#waiting.size >= waitingCountMax)
      this.#waiting.delete(this.#waiting.keys().next().value as string)
    this.#waiting.set(key, { ...pull, count: 1, attempts: 0 })
  }

  /** Sends what waits: holds at the same time, the notices of one hold one after the other. */
  async flush(): Promise<void> {
    const byHold = Map.groupBy(this.#waiting, ([, { holdDid }]) => holdDid)
    await Promise.all([...byHold.values()].map((queue) => this.#sendAll(queue.slice(0, noticesPerRoundMax))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(
      stopPatienceMs,
      (this.#loop ?? Promise.resolve()).then(() => this.flush()),
    )
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await sleep(intervalMs, signal).catch(() => undefined)
      if (!signal.aborted) await this.flush()
    }
  }

  async #sendAll(queue: readonly (readonly [string, Waiting])[]): Promise<void> {
    for (const [key, waiting] of queue) {
      const count = Math.min(waiting.count, countPerNoticeMax)
      try {
        await this.#send(waiting, count)
        waiting.count -= count
        waiting.attempts = 0
        if (waiting.count === 0) this.#waiting.delete(key)
      } catch (err) {
        waiting.attempts += 1
        const isPassing = err instanceof AppViewError && err.code === 'hold_unreachable'
        this.#needs.log.debug({ err, hold: waiting.holdDid }, 'a hold was not told of pulls')
        if (!isPassing || waiting.attempts >= attemptCountMax) this.#waiting.delete(key)
        // The others would fare no better.
        if (isPassing) return
      }
    }
  }

  async #send({ holdDid, ownerDid, repository, digest, reader }: Waiting, count: number): Promise<void> {
    const { notifier } = this.#needs
    const notice = { operation: 'pull', repository, userDid: ownerDid, manifestDigest: digest, count, manifest: {} } as const // prettier-ignore
    try {
      await notifier.notifyAsNobody(holdDid, notice)
    } catch (error) {
      const isRefused = error instanceof AppViewError && error.code === 'hold_refused'
      if (!isRefused || reader === undefined) throw error
      await notifier.notify({ holdDid, accountDid: reader }, notice)
    }
  }
}
