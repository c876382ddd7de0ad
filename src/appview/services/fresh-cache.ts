import { cacheLookups } from '../../lib/cache-metrics.ts'

interface Entry<V> {
  value: V
  freshUntilMs: number
}

/** A bounded map of answers with an age: callers for the same key while one is being fetched share it. */
export class FreshCache<V> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #loading = new Map<string, Promise<V>>()
  readonly #countMax: number
  readonly #note: ((isHit: boolean) => void) | undefined

  /** Look-ups in one with a name are counted. */
  constructor(options: { countMax: number; name?: string }) {
    this.#countMax = options.countMax
    this.#note = options.name === undefined ? undefined : cacheLookups(options.name)
  }

  /** The value while it is fresh, else what `load` gives; a failed load is not kept. */
  async get(key: string, nowMs: number, load: () => Promise<Entry<V>>): Promise<V> {
    const entry = this.#entries.get(key)
    const isHit = entry !== undefined && entry.freshUntilMs > nowMs
    this.#note?.(isHit)
    if (isHit) return entry.value
    const loading = this.#loading.get(key) ?? this.#load(key, load)
    return loading
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  #load(key: string, load: () => Promise<Entry<V>>): Promise<V> {
    const loading = load()
      .then((entry) => {
        this.#entries.delete(key)
        if (this.#entries.size >= this.#countMax)
          this.#entries.delete(this.#entries.keys().next().value as string)
        this.#entries.set(key, entry)
        return entry.value
      })
      .finally(() => this.#loading.delete(key))
    this.#loading.set(key, loading)
    return loading
  }
}
