/** Servers that gather the event streams of many others. */
export interface Relays {
  /** Asks a relay to follow the event stream of a host (name, with a port unless it is the usual one). Never throws. */
  requestCrawl(relayUrl: string, hostname: string): Promise<CrawlAnswer>
}

export type CrawlAnswer = { outcome: 'accepted' } | { outcome: 'failed'; message: string }
