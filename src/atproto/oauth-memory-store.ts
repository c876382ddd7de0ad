import type { Now } from '../lib/clock.ts'

interface Entry<Value> {
  value: Value
  expiresAtMs: number
}

/** For logins that may be lost with the process: forgets what is older than its lifetime, and the oldest when there are too many. */
export class OAuthMemoryStore<Value> {
  readonly #entries = new Map<string, Entry<Value>>()
  readonly #needs: { now: Now; lifetimeSeconds: number; entryCountMax: number }

  constructor(needs: { now: Now; lifetimeSeconds: number; entryCountMax: number }) {
    this.#needs = needs
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined || entry.expiresAtMs <= this.#needs.now().getTime()) return undefined
    return entry.value
  }

  set(key: string, value: Value): void {
    const { now, lifetimeSeconds, entryCountMax } = this.#needs
    this.#entries.delete(key)
    if (this.#entries.size >= entryCountMax) this.#entries.delete(this.#entries.keys().next().value as string)
    this.#entries.set(key, { value, expiresAtMs: now().getTime() + lifetimeSeconds * 1000 })
  }

  del(key: string): void {
    this.#entries.delete(key)
  }
}
