/** How a part that the program needs is. `late`: it works, and is too far behind to be relied upon. */
export type PartState = 'ok' | 'failed' | 'late' | 'off'

/** What `/ready` says. */
export interface ReadinessReport {
  status: 'ready' | 'not ready' | 'stopping'
  parts: Record<string, PartState>
}

/** However often it is asked, parts are looked at no more often than this. */
const believedMs = 2000
/** A part that says nothing for so long does not work. */
const patienceMs = 5000

/**
 * Whether the program can do its work. Asking costs nothing worth mentioning, so that strangers may ask as well, and what
 * is answered names parts and no reasons: those are in the log, once for each change.
 */
export class Readiness {
  readonly #parts: Record<string, () => Promise<PartState>>
  readonly #onChange: (part: string, state: PartState, error: unknown) => void
  #known: { report: Promise<ReadinessReport>; atMs: number } | undefined
  readonly #states = new Map<string, PartState>()
  #isStopping = false

  constructor(needs: {
    parts: Record<string, () => Promise<PartState>>
    onChange: (part: string, state: PartState, error: unknown) => void
  }) {
    this.#parts = needs.parts
    this.#onChange = needs.onChange
  }

  async report(): Promise<ReadinessReport> {
    if (this.#isStopping) return { status: 'stopping', parts: {} }
    const nowMs = performance.now()
    if (this.#known === undefined || nowMs - this.#known.atMs > believedMs) {
      this.#known = { report: this.#look(), atMs: nowMs }
    }
    return this.#known.report
  }

  /** The program is about to stop: whoever sends it work should send it elsewhere. */
  stop(): void {
    this.#isStopping = true
  }

  async #look(): Promise<ReadinessReport> {
    const entries = await Promise.all(
      Object.entries(this.#parts).map(
        async ([part, look]) => [part, await this.#stateOf(part, look)] as const,
      ),
    )
    const isReady = entries.every(([, state]) => state === 'ok' || state === 'off')
    return { status: isReady ? 'ready' : 'not ready', parts: Object.fromEntries(entries) }
  }

  async #stateOf(part: string, look: () => Promise<PartState>): Promise<PartState> {
    let error: unknown
    const state = await inTime(look()).catch((cause: unknown) => {
      error = cause
      return 'failed' as const
    })
    const isNews = (this.#states.get(part) ?? (state === 'off' ? 'off' : 'ok')) !== state
    if (isNews) this.#onChange(part, state, error)
    this.#states.set(part, state)
    return state
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`nothing came within ${patienceMs} ms`)), patienceMs)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
