import type { IncomingMessage } from 'node:http'

import type { MiddlewareHandler } from 'hono'

import { loggablePath, type Logger } from '../lib/log.ts'
import { traceOf, withTrace } from '../lib/trace.ts'
import type { ServerEnv } from './serve.ts'

/**
 * Makes every request part of a trace, taken over from the caller when what he sent is plain, so that a log line of the
 * AppView and one of the hold can be laid side by side; answers with its id.
 */
export function requestId(): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const trace = traceOf(context.env.incoming.headers)
    context.set('requestId', trace.requestId)
    // On the raw response, because Hono forgets its own headers when a handler answers a Response of its making.
    context.env.outgoing.setHeader('x-request-id', trace.requestId)
    await withTrace(trace, next)
  }
}

/** One line a request, after its answer: method, path without query, status and milliseconds. */
export function accessLog(log: Logger): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const startedAtMs = performance.now()
    await next()
    const { incoming, outgoing } = context.env
    const status = outgoing.headersSent ? outgoing.statusCode : context.res.status
    logAccess(log, { incoming, status, requestId: context.get('requestId'), startedAtMs })
  }
}

export function logAccess(
  log: Logger,
  call: { incoming: IncomingMessage; status: number; requestId: string; startedAtMs: number },
): void {
  if (!log.isLevelEnabled('debug')) return
  const { incoming, status, startedAtMs } = call
  log.debug({
    requestId: call.requestId,
    method: incoming.method,
    path: loggablePath(incoming.url ?? ''),
    status,
    durationMs: Math.round(performance.now() - startedAtMs),
  })
}

/**
 * Headers that every answer carries; pages put their own content security policy in place of this one, which lets
 * nothing happen. An answer with a cookie is for one browser, whatever it says itself: a session gets a new token now
 * and then, with whatever happens to be asked for.
 */
export function securityHeaders(publicUrl: string): MiddlewareHandler<ServerEnv> {
  const all = securityHeadersFor(publicUrl)
  return async (context, next) => {
    for (const name in all) context.env.outgoing.setHeader(name, all[name] as string)
    await next()
    const { headers } = context.res
    const isForOne = /\b(?:private|no-store)\b/.test(headers.get('cache-control') ?? '')
    if (headers.has('set-cookie') && !isForOne) context.header('cache-control', 'private, no-cache')
  }
}

/** For a service that others reach at `publicUrl`. */
export function securityHeadersFor(publicUrl: string): Readonly<Record<string, string>> {
  return {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'same-origin',
    'x-frame-options': 'DENY',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': permissionsPolicy,
    ...(publicUrl.startsWith('https:') && { 'strict-transport-security': `max-age=${yearSeconds}` }),
  }
}

/** Nothing here wants any of it, and no script that got in would be given it. Copying is for the buttons beside commands. */
const permissionsPolicy =
  'camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()'
/** Of this host alone: its neighbours are none of our business. */
const yearSeconds = 365 * 86_400
