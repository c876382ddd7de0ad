import type { MiddlewareHandler } from 'hono'

import type { ServerEnv } from './serve.ts'

/**
 * Over plain http a login ends at 127.0.0.1, so it has to begin there, for the cookies' sake. With https there is one
 * address, and a proxy may well ask by another name.
 */
export function atOrigin(origin: string): MiddlewareHandler<ServerEnv> {
  const { host, protocol } = new URL(origin)
  return async (context, next) => {
    if (protocol === 'https:' || context.req.header('host') === host) return next()
    const { method } = context.req
    if (method !== 'GET' && method !== 'HEAD') return context.text('Misdirected Request', 421)
    return context.redirect(`${origin}${context.env.incoming.url ?? '/'}`, 302)
  }
}
