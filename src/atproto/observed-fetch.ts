import { durations } from '../lib/metrics.ts'
import { findTrace } from '../lib/trace.ts'
import type { Fetch } from './outbound-fetch.ts'
import type { Transfer } from './transfer.ts'

/** What kind of server is asked. */
export type UpstreamTarget = 'hold' | 'identity' | 'other' | 'pds' | 'plc' | 'storage' | 'webhook'

const upstreamSeconds = durations({
  name: 'atcr_upstream_request_duration_seconds',
  help: 'Calls to other servers, from the request to the head of the answer. Outcome: ok, refused (4xx), failed (5xx), silent (no answer).',
  labels: ['program', 'target', 'outcome'],
})

/**
 * What a server is told of the request that a call is part of. `trace`: the context of W3C Trace Context, which says
 * nothing of anybody; `request`: also the id that our answer had, for servers that write it into logs like ours.
 */
export type ToldIds = 'nothing' | 'trace' | 'request'

interface Observed {
  program: 'appview' | 'hold'
  target: UpstreamTarget | ((url: string) => UpstreamTarget)
  tells: ToldIds
}

/** The same fetch, measured, and telling what it is part of. */
export function observedFetch(fetch: Fetch, { program, target, tells }: Observed): Fetch {
  return async (input, init) => {
    const url = input instanceof Request ? input.url : String(input)
    const labels = { program, target: typeof target === 'string' ? target : target(url) }
    const startedAtMs = performance.now()
    const note = (outcome: string) =>
      upstreamSeconds.observe({ ...labels, outcome }, (performance.now() - startedAtMs) / 1000)
    try {
      const response = await fetch(input, tells === 'nothing' ? init : withIds(input, init, tells))
      note(outcomeOf(response.status))
      return response
    } catch (error) {
      note('silent')
      throw error
    }
  }
}

/** The same for blob bytes; measured is the time to the head of the answer. */
export function observedTransfer(
  transfer: Transfer,
  labels: { program: Observed['program']; target: UpstreamTarget; tells: 'trace' },
): Transfer {
  return async (url, request) => {
    const startedAtMs = performance.now()
    const trace = findTrace()
    const headers =
      trace === undefined ? request.headers : { ...request.headers, traceparent: trace.traceparent }
    try {
      const answer = await transfer(url, headers === undefined ? request : { ...request, headers })
      measureUpstream(labels, answer.status, startedAtMs)
      return answer
    } catch (error) {
      measureUpstream(labels, undefined, startedAtMs)
      throw error
    }
  }
}

/** Measures a call that no fetch makes: the SDK of an object store has its own client. */
export function measureUpstream(
  labels: { program: Observed['program']; target: UpstreamTarget },
  status: number | undefined,
  startedAtMs: number,
): void {
  const { program, target } = labels
  const outcome = status === undefined ? 'silent' : outcomeOf(status)
  upstreamSeconds.observe({ program, target, outcome }, (performance.now() - startedAtMs) / 1000)
}

/** PLC's directory is one server; documents of other identities are anywhere. */
export function identityTarget(plcUrl: string): (url: string) => UpstreamTarget {
  const { origin } = new URL(plcUrl)
  return (url) => (url.startsWith(`${origin}/`) ? 'plc' : 'identity')
}

function outcomeOf(status: number): string {
  return status < 400 ? 'ok' : status < 500 ? 'refused' : 'failed'
}

function withIds(
  input: Parameters<Fetch>[0],
  init: RequestInit | undefined,
  tells: ToldIds,
): RequestInit | undefined {
  const trace = findTrace()
  if (trace === undefined) return init
  const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined))
  headers.set('traceparent', trace.traceparent)
  if (tells === 'request') headers.set('x-request-id', trace.requestId)
  return { ...init, headers }
}
