import type { Now } from '../../lib/clock.ts'

const windowMs = 3_600_000
/** Of one reporter, an hour: all repositories together, and each. */
const pullCountMax = 200_000
const repositoryPullCountMax = 20_000
/** Notices of one reporter a window, whatever they count: each is a row that is read and written. */
const noticeCountMax = 20_000
const reporterCountMax = 2_000
const repositoryCountMax = 5_000

interface Window {
  endsAtMs: number
  noticeCount: number
  pullCount: number
  byRepository: Map<string, number>
}

/**
 * How much one reporter may tell of pulls. Nobody proves that he pulled, so that counters are worth what reporters are;
 * this bounds what one address or account can add to them, and how often it can make us write. In memory.
 */
export class PullLimits {
  readonly #now: Now
  readonly #windows = new Map<string, Window>()

  constructor(needs: { now: Now }) {
    this.#now = needs.now
  }

  /** How many of the pulls a reporter tells of are counted. */
  take(reporter: string, repository: string, count: number): number {
    const window = this.#windowOf(reporter)
    window.noticeCount += 1
    const known = window.byRepository.get(repository)
    const isTooMany = known === undefined && window.byRepository.size >= repositoryCountMax
    if (isTooMany || window.noticeCount > noticeCountMax) return 0
    const left = Math.min(pullCountMax - window.pullCount, repositoryPullCountMax - (known ?? 0))
    const taken = Math.max(0, Math.min(count, left))
    window.pullCount += taken
    window.byRepository.set(repository, (known ?? 0) + taken)
    return taken
  }

  #windowOf(reporter: string): Window {
    const nowMs = this.#now().getTime()
    const known = this.#windows.get(reporter)
    if (known !== undefined && known.endsAtMs > nowMs) return known
    this.#windows.delete(reporter)
    if (this.#windows.size >= reporterCountMax) this.#windows.delete(this.#windows.keys().next().value as string) // prettier-ignore
    const window = { endsAtMs: nowMs + windowMs, noticeCount: 0, pullCount: 0, byRepository: new Map() }
    this.#windows.set(reporter, window)
    return window
  }
}
