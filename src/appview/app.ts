import { Hono, type Context } from 'hono'

import { accessLog, requestId, securityHeaders } from '../http/middleware.ts'
import type { ServerEnv } from '../http/serve.ts'
import { logger } from '../lib/log.ts'
import { mountTokenRoutes } from './auth/token-routes.ts'
import type { AppContext } from './context.ts'
import { handleRegistry } from './registry/handler.ts'
import { Assets } from './ui/assets.ts'
import { answerFailedPage, answerUnknownPage, mountPages, type PagesNeeds } from './ui/routes.ts'

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
  const pages = context.config.ui.enabled ? pagesNeeds(context) : undefined
  if (pages !== undefined) mountPages(app, pages)
  app.notFound((c) =>
    pages !== undefined && wantsPage(c) ? answerUnknownPage(c, pages) : c.text('not found', 404),
  )
  app.onError((err, c) => {
    if (pages !== undefined && wantsPage(c)) return answerFailedPage(c, pages, err)
    const id = c.get('requestId')
    context.log.error({ err, requestId: id }, 'a request failed')
    return c.text(`internal error (request ${id})`, 500)
  })
  return app
}

/** Browsers say so; programs get a line of text. */
function wantsPage(c: Context<ServerEnv>): boolean {
  return c.req.header('accept')?.includes('text/html') ?? false
}

function pagesNeeds({ db, identities, now, log, config }: AppContext): PagesNeeds {
  return { db, identities, now, log, baseUrl: config.server.base_url, assets: new Assets() }
}
