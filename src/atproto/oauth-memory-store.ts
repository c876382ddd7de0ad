import type { NodeSavedSession } from '@atproto/oauth-client-node'

import type { Now } from '../lib/clock.ts'
import { isSameTokens, type OAuthSessionStore } from './oauth-tokens.ts'
import type { Did } from './syntax.ts'

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

/** Tokens that may be lost with the process. */
export class OAuthMemorySessions extends OAuthMemoryStore<NodeSavedSession> implements OAuthSessionStore {
  async replace(did: Did, from: NodeSavedSession, to: NodeSavedSession | undefined): Promise<boolean> {
    const current = this.get(did)
    if (current === undefined || !isSameTokens(current, from)) return false
    if (to === undefined) this.del(did)
    else this.set(did, to)
    return true
  }
}
