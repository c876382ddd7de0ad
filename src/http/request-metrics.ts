import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import { promisify } from 'node:util'

import type { MiddlewareHandler } from 'hono'

import { counter, durations, watchedGauge } from '../lib/metrics.ts'
import type { ServerEnv } from './serve.ts'

/** Which of our programs answers, in labels. */
export type ProgramLabel = 'appview' | 'hold'

const requestSeconds = durations({
  name: 'atcr_http_request_duration_seconds',
  help: 'From the head of a request to the end of its answer, by kind of route; its count is the count of requests.',
  labels: ['program', 'route', 'method', 'status'],
})

const rateLimited = counter({
  name: 'atcr_http_rate_limited_total',
  help: 'Requests answered 429: somebody asks more than a limit of ours, or of a server behind us, allows.',
  labels: ['program', 'route'],
})

const connections = watchedGauge({
  name: 'atcr_http_connections',
  help: 'Open connections to the public listener.',
  labels: ['program'],
})

const known = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

interface Observer {
  observe: (seconds: number) => void
}

/** By route, method and hundreds of the status: made once for each combination, of which there are few. */
const observers: Record<ProgramLabel, Map<string, Map<string, Observer[]>>> = {
  appview: new Map(),
  hold: new Map(),
}

export interface MeasuredRequest {
  program: ProgramLabel
  /** One of a few words. */
  route: string
  incoming: Pick<IncomingMessage, 'method'>
  status: number
  startedAtMs: number
}

export function measureRequest({ program, route, incoming, status, startedAtMs }: MeasuredRequest): void {
  const method = nameOf(incoming.method ?? '')
  const kind = Math.floor(status / 100)
  let ofRoute = observers[program].get(route)
  if (ofRoute === undefined) observers[program].set(route, (ofRoute = new Map()))
  let ofMethod = ofRoute.get(method)
  if (ofMethod === undefined) ofRoute.set(method, (ofMethod = []))
  const observer = (ofMethod[kind] ??= requestSeconds.labels(program, route, method, `${kind}xx`))
  observer.observe((performance.now() - startedAtMs) / 1000)
  if (status === 429) rateLimited.inc({ program, route })
}

const nameOf = (method: string) => (known.has(method) ? method : 'other')

/** Measures every request that comes through a router. */
export function requestMetrics(
  program: ProgramLabel,
  routeClassOf: (path: string) => string,
): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const startedAtMs = performance.now()
    await next()
    const { incoming, outgoing } = context.env
    const status = outgoing.headersSent ? outgoing.statusCode : context.res.status
    measureRequest({ program, route: routeClassOf(incoming.url ?? ''), incoming, status, startedAtMs })
  }
}

/** Tells how many connections a listener has, until what comes back is disposed. */
export function measureConnections(program: ProgramLabel, server: Server): Disposable {
  const count = promisify(server.getConnections.bind(server))
  return connections.watch(async () => [{ labels: { program }, value: await count() }])
}
