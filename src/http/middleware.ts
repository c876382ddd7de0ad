import type { MiddlewareHandler } from 'hono'

import { randomId } from '../lib/ids.ts'
import type { Logger } from '../lib/log.ts'
import type { ServerEnv } from './serve.ts'

/**
 * Gives every request an id, taken over from the caller when it is a plain one, so that a log line of the AppView
 * and one of the hold can be laid side by side; answers with it.
 */
export function requestId(): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const given = context.req.header('x-request-id')
    const id = given !== undefined && /^[\w-]{1,64}$/.test(given) ? given : randomId(9)
    context.set('requestId', id)
    // On the raw response, because Hono forgets its own headers when a handler answers a Response of its making.
    context.env.outgoing.setHeader('x-request-id', id)
    await next()
  }
}

/** One line a request, after its answer: method, path without query, status and milliseconds. */
export function accessLog(log: Logger): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const startedAtMs = performance.now()
    await next()
    const { incoming, outgoing } = context.env
    const status = outgoing.headersSent ? outgoing.statusCode : context.res.status
    log.debug({
      requestId: context.get('requestId'),
      method: incoming.method,
      path: incoming.url?.split('?', 1)[0],
      status,
      durationMs: Math.round(performance.now() - startedAtMs),
    })
  }
}

/** Headers that every answer carries; pages add their content security policy. */
export function securityHeaders(): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const { outgoing } = context.env
    outgoing.setHeader('x-content-type-options', 'nosniff')
    outgoing.setHeader('referrer-policy', 'same-origin')
    outgoing.setHeader('x-frame-options', 'DENY')
    await next()
  }
}
