import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { callXrpc, translate } from '../../atproto/xrpc-client.ts'
import * as requestCrawl from '../../protocol/lexicon/generated/com/atproto/sync/requestCrawl.ts'
import type { CrawlAnswer, Relays } from '../ports/relays.ts'

/** Relays as they are reached by XRPC. */
export class XrpcRelays implements Relays {
  readonly #fetch: Fetch

  constructor(needs: { fetch: Fetch }) {
    this.#fetch = needs.fetch
  }

  async requestCrawl(relayUrl: string, hostname: string): Promise<CrawlAnswer> {
    try {
      await callXrpc({ serviceUrl: relayUrl, fetch: this.#fetch }, requestCrawl.main, { body: { hostname } })
      return { outcome: 'accepted' }
    } catch (error) {
      const { xrpcError, message } = translate(error)
      return { outcome: 'failed', message: xrpcError === undefined ? message : `${xrpcError}: ${message}` }
    }
  }
}
