import type { Kysely } from 'kysely'

import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import { listRelayRequests, putRelayRequest } from '../db/relay-requests.ts'
import type { RelayRequestRow, RelayTables } from '../db/relay-tables.ts'
import type { Relays } from '../ports/relays.ts'

const log = logger('hold:relays')

const minuteMs = 60_000
/** Wait after the first failure; doubles with each further one. */
const retryMinMs = minuteMs
const retryMaxMs = 6 * 60 * minuteMs
/** A relay that follows us forgets us when we are away for long, so it is reminded. */
const reminderMs = 24 * 60 * minuteMs
/** A hold that is started again and again does not ask each time. */
const freshMs = 20 * minuteMs
const messageLengthMax = 300

/** A relay, and what came of the last request to it. */
export interface RelayState {
  url: string
  /** ISO text. */
  requestedAt?: string
  outcome?: 'accepted' | 'failed'
  /** Why it failed. */
  message?: string
}

interface Needs {
  database: Kysely<RelayTables>
  relays: Relays
  /** The relays that are to know of this hold. */
  urls: readonly string[]
  /** Where they find it: host, with a port unless it is the usual one. */
  hostname: string
  did: string
  now: Now
}

/** Makes the hold known to relays, which then follow its event stream. Outcomes are kept over restarts. */
export class CrawlRequests {
  readonly #needs: Needs
  readonly #startedAtMs: number

  constructor(needs: Needs) {
    this.#needs = needs
    this.#startedAtMs = needs.now().getTime()
  }

  /** All relays, in the order of the settings. */
  async list(): Promise<RelayState[]> {
    const { database, urls } = this.#needs
    const rows = await listRelayRequests(database, urls)
    return urls.map((url) => stateOf(url, this.#valid(rows.get(url))))
  }

  /** Asks all relays now. */
  async request(): Promise<RelayState[]> {
    const { database, urls } = this.#needs
    const rows = await listRelayRequests(database, urls)
    return Promise.all(urls.map((url) => this.#ask(url, this.#valid(rows.get(url)))))
  }

  /** Asks those relays whose turn it is: never asked as who we are, not since this start, or failed a while ago. */
  async requestDue(): Promise<void> {
    const { database, urls } = this.#needs
    const rows = await listRelayRequests(database, urls)
    const nowMs = this.#needs.now().getTime()
    for (const url of urls) {
      const row = this.#valid(rows.get(url))
      if (row === undefined || nowMs >= this.#dueAtMs(row)) await this.#ask(url, row)
    }
  }

  /** Undefined for a request that was made under another name: to the relay we are a new hold. */
  #valid(row: RelayRequestRow | undefined): RelayRequestRow | undefined {
    const { hostname, did } = this.#needs
    return row?.hostname === hostname && row.did === did ? row : undefined
  }

  #dueAtMs({ outcome, requested_at: requestedAt, failure_count: failureCount }: RelayRequestRow): number {
    const requestedAtMs = Date.parse(requestedAt)
    if (outcome === 'failed') {
      return requestedAtMs + Math.min(retryMinMs * 2 ** (failureCount - 1), retryMaxMs)
    }
    const isOfBefore = requestedAtMs < this.#startedAtMs - freshMs
    return isOfBefore ? this.#startedAtMs : requestedAtMs + reminderMs
  }

  async #ask(url: string, before: RelayRequestRow | undefined): Promise<RelayState> {
    const { database, relays, hostname, did, now } = this.#needs
    const answer = await relays.requestCrawl(url, hostname)
    const isAccepted = answer.outcome === 'accepted'
    const row: RelayRequestRow = {
      url,
      hostname,
      did,
      requested_at: now().toISOString(),
      outcome: answer.outcome,
      message: answer.outcome === 'failed' ? answer.message.slice(0, messageLengthMax) : null,
      failure_count: isAccepted ? 0 : (before?.failure_count ?? 0) + 1,
    }
    await putRelayRequest(database, row)
    if (isAccepted) log.info({ relay: url }, 'a relay was asked to crawl')
    else log.warn({ relay: url, reason: row.message }, 'a relay does not take us')
    return stateOf(url, row)
  }
}

function stateOf(url: string, row: RelayRequestRow | undefined): RelayState {
  if (row === undefined) return { url }
  const { requested_at: requestedAt, outcome, message } = row
  return { url, requestedAt, outcome, ...(message === null ? {} : { message }) }
}
