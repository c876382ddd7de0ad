interface Entry<V> {
  value: V
  bytes: number
  freshUntilMs: number
}

/** What a load brought: how much room it takes, and how long it is good. */
export interface Loaded<V> {
  value: V
  bytes: number
  freshMs: number
}

/**
 * Values in memory by key, bounded by their bytes; who was asked for longest ago goes first. Callers for the same key
 * while it is being loaded share the load, and a load that fails is not kept.
 */
export class ByteCache<V> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #loading = new Map<string, Promise<V>>()
  readonly #bytesMax: number
  #bytes = 0

  constructor({ bytesMax }: { bytesMax: number }) {
    this.#bytesMax = bytesMax
  }

  /** The value while it is good, without waiting; undefined where there is none. */
  peek(key: string, nowMs: number): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.freshUntilMs <= nowMs) return undefined
    // Those asked for last stand last.
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  async get(key: string, nowMs: number, load: () => Promise<Loaded<V>>): Promise<V> {
    const known = this.peek(key, nowMs)
    if (known !== undefined) return known
    const loading = this.#loading.get(key) ?? this.#load(key, nowMs, load)
    return loading
  }

  #load(key: string, nowMs: number, load: () => Promise<Loaded<V>>): Promise<V> {
    const loading = load()
      .then(({ value, bytes, freshMs }) => {
        this.#put(key, { value, bytes, freshUntilMs: nowMs + freshMs })
        return value
      })
      .finally(() => this.#loading.delete(key))
    this.#loading.set(key, loading)
    return loading
  }

  #put(key: string, entry: Entry<V>): void {
    this.#drop(key)
    this.#entries.set(key, entry)
    this.#bytes += entry.bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) return
      this.#drop(oldest)
    }
  }

  #drop(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0
    this.#entries.delete(key)
  }
}
