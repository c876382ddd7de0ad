import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import type { HoldAnswer, HoldProbe } from '../ports/hold-probe.ts'

/** Holds of ours answer both; others may have one of them. */
const paths = ['/xrpc/_health', '/health']

/** Asks holds for their health over HTTP. */
export class HoldProbeClient implements HoldProbe {
  readonly #needs: { identities: Pick<Identities, 'resolveDid'>; fetch: Fetch; now: Now }

  constructor(needs: { identities: Pick<Identities, 'resolveDid'>; fetch: Fetch; now: Now }) {
    this.#needs = needs
  }

  async ask(holdDid: Did): Promise<HoldAnswer> {
    const identity = await this.#needs.identities.resolveDid(holdDid).catch(() => undefined)
    if (identity === undefined) return { isUp: false, detail: 'its DID could not be looked up' }
    const url = identity.holdUrl ?? identity.pdsUrl
    if (url === undefined) return { isUp: false, detail: 'its DID document names no address of a hold' }
    let status = 0
    for (const path of paths) {
      const answer = await this.#get(new URL(path, url))
      if (answer === undefined) return { isUp: false, detail: 'no answer' }
      if (answer.status === 200) return { isUp: true, latencyMs: answer.latencyMs }
      status = answer.status
      if (status !== 404) break
    }
    return { isUp: false, detail: `it answers with status ${status}` }
  }

  async #get(url: URL): Promise<{ status: number; latencyMs: number } | undefined> {
    const { fetch, now } = this.#needs
    const startMs = now().getTime()
    try {
      const { body, status } = await fetch(url, { headers: { accept: 'application/json' } })
      await body?.cancel()
      return { status, latencyMs: Math.max(0, now().getTime() - startMs) }
    } catch {
      return undefined
    }
  }
}
