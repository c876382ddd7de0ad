import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

import { randomId } from './ids.ts'

/** What log lines of one request have in common. */
export interface TraceFields {
  requestId: string
  traceId: string
  spanId: string
}

/**
 * One request on its way through the programs: an id that people quote, and the context of W3C Trace Context. What was
 * not given is made when it is first wanted, because most requests are answered without a line in the log.
 */
export class Trace {
  readonly requestId: string
  readonly #parent: TraceParent | undefined
  #fields: TraceFields | undefined

  constructor(requestId: string, parent?: TraceParent) {
    this.requestId = requestId
    this.#parent = parent
  }

  get fields(): TraceFields {
    this.#fields ??= {
      requestId: this.requestId,
      traceId: this.#parent?.traceId ?? randomBytes(16).toString('hex'),
      spanId: randomBytes(8).toString('hex'),
    }
    return this.#fields
  }

  /** `traceparent` of calls that this request makes. Whether a trace is recorded is for whoever began it to say. */
  get traceparent(): string {
    const { traceId, spanId } = this.fields
    return `00-${traceId}-${spanId}-${this.#parent?.flags ?? '00'}`
  }
}

/** What a caller's `traceparent` says. */
export interface TraceParent {
  traceId: string
  flags: string
}

const traceparentForm =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?$/

/** Reads a `traceparent` (W3C Trace Context §3.2); undefined when it is not one, and then a trace begins here. */
export function parseTraceparent(text: string): TraceParent | undefined {
  if (text.length > 256) return undefined
  const [, version, traceId, flags, rest] = traceparentForm.exec(text) ?? []
  if (traceId === undefined || flags === undefined) return undefined
  // Later versions may say more behind it, the present one may not. Of the flags, only the first is known (§3.2.2.5.1).
  if (version === '00' && rest !== undefined) return undefined
  return { traceId, flags: (Number.parseInt(flags, 16) & 1) === 1 ? '01' : '00' }
}

/** The trace of a request, taken over from the caller where what he sent is plain. */
export function traceOf(headers: IncomingHttpHeaders): Trace {
  const given = headers['x-request-id']
  const isPlain = typeof given === 'string' && /^[\w-]{1,64}$/.test(given)
  const parent = headers['traceparent']
  return new Trace(
    isPlain ? given : `${idPrefix}-${(idCount++).toString(36)}`,
    typeof parent === 'string' ? parseTraceparent(parent) : undefined,
  )
}

/** Unlike those of any other process, and then counted: cheap, because every request has one, and no secret. */
const idPrefix = randomId(6)
let idCount = 0

const current = new AsyncLocalStorage<Trace | undefined>()

/** Runs `work`, and whatever it begins, as part of a trace; undefined: of none. */
export function withTrace<T>(trace: Trace | undefined, work: () => T): T {
  return current.run(trace, work)
}

/** A trace of its own for work that no request waits for. */
export function newTrace(): Trace {
  return traceOf({})
}

/** The trace that is running. */
export function findTrace(): Trace | undefined {
  return current.getStore()
}
