import { Hono } from 'hono'

import { accessLog, requestId, securityHeaders } from '../http/middleware.ts'
import type { ServerEnv } from '../http/serve.ts'
import { logger } from '../lib/log.ts'
import { mountTokenRoutes } from './auth/token-routes.ts'
import type { AppContext } from './context.ts'
import { handleRegistry } from './registry/handler.ts'

/** Everything the AppView answers over HTTP. */
export function createApp(context: AppContext): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>()
  app.use(requestId(), accessLog(logger('appview:http')), securityHeaders())
  // By the raw path: a router would see `/v2/../x` resolved, and names may hold anything.
  app.use(async (c, next) => {
    if (!/^\/v2(?:[/?]|$)/.test(c.env.incoming.url ?? '')) return next()
    return handleRegistry(c, context)
  })
  app.get('/health', () => Response.json({ status: 'ok' }))
  mountTokenRoutes(app, context)
  app.onError((err, c) => {
    const id = c.get('requestId')
    context.log.error({ err, requestId: id }, 'a request failed')
    return c.text(`internal error (request ${id})`, 500)
  })
  return app
}
