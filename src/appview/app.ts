import { Hono, type Context, type MiddlewareHandler } from 'hono'

import type { Did } from '../atproto/syntax.ts'
import { oauthOrigin } from '../atproto/oauth-origin.ts'
import { clientAddress, clientAddressOf, trustedProxies } from '../http/client-address.ts'
import { accessLog, requestId, securityHeaders } from '../http/middleware.ts'
import { mountReadiness } from '../http/readiness-routes.ts'
import { requestMetrics } from '../http/request-metrics.ts'
import type { RequestInterceptor, ServerEnv } from '../http/serve.ts'
import { isDatabaseAway } from '../lib/database.ts'
import { logger } from '../lib/log.ts'
import type { Readiness } from '../lib/readiness.ts'
import { mountDeviceRoutes } from './auth/device-routes.ts'
import { mountOAuthDocuments } from './auth/oauth-routes.ts'
import { mountTokenRoutes } from './auth/token-routes.ts'
import type { AppContext } from './context.ts'
import { toResponse } from './registry/answer.ts'
import { routeClassOf } from './registry/route-classes.ts'
import { handleRegistry, isRegistryPath, registryHeaders, registryListener } from './registry/handler.ts'
import { loadAssets } from './ui/assets.ts'
import { loadBrand } from './ui/brand.ts'
import { Cards } from './ui/cards/answer-card.ts'
import { CardRenderer } from './ui/cards/card-renderer.ts'
import { mountReferenceDeletion } from './ui/reference-deletion-routes.ts'
import { mountData } from './ui/data-routes.ts'
import { mountDevicePages } from './ui/device-routes.ts'
import { HelperBuilds } from './ui/helper-builds.ts'
import { limitPages } from './ui/page-limits.ts'
import { mountHolds } from './ui/hold-routes.ts'
import { mountInstall } from './ui/install-routes.ts'
import { mountLegal } from './ui/legal-routes.ts'
import { mountLogin } from './ui/login-routes.ts'
import { Markdown } from './ui/markdown/markdown.ts'
import { mountPageEdit } from './ui/page-edit-routes.ts'
import { mountPictures } from './ui/picture-routes.ts'
import { BrowserSessions } from './ui/sessions.ts'
import { mountSettings } from './ui/settings-routes.ts'
import { mountStorage } from './ui/storage-routes.ts'
import { mountStars } from './ui/star-routes.ts'
import { mountWebhooks } from './ui/webhook-routes.ts'
import { answerFailedPage, answerUnknownPage, mountPages, type PagesNeeds } from './ui/routes.ts'

/** Everything the AppView answers over HTTP. */
export function createApp(context: AppContext, readiness: Readiness): Hono<ServerEnv> {
  const { config, settings } = context
  const app = new Hono<ServerEnv>()
  app.use(requestId(), accessLog(logger('appview:http')))
  app.use(securityHeaders(config.server.base_url), clientAddress(trustedProxies(settings)))
  app.use(requestMetrics('appview', routeClassOf))
  // Reads come in by `createInterceptor`; this is the way of everything with a body.
  app.use(async (c, next) => {
    const { incoming, outgoing } = c.env
    if (!isRegistryPath(incoming.url ?? '')) return next()
    for (const [name, value] of Object.entries(registryHeaders)) outgoing.setHeader(name, value)
    const answer = await handleRegistry(
      { incoming, outgoing, requestId: c.get('requestId'), address: clientAddressOf(c), commonHeaders: {} },
      context,
    )
    return answer instanceof Response ? answer : toResponse(answer)
  })
  app.use(browsersToBaseUrl(config.server))
  app.get('/health', () => Response.json({ status: 'ok' }))
  mountReadiness(app, readiness)
  mountTokenRoutes(app, context)
  mountOAuthDocuments(app, context)
  const builds = new HelperBuilds(config.credential_helper.folder)
  mountInstall(app, { config, builds })
  const pages = config.ui.enabled ? pagesNeeds(context, builds) : undefined
  if (pages !== undefined) {
    const { baseUrl, sessions } = pages
    limitPages(app, { ...context, sessions })
    mountPages(app, pages)
    mountLegal(app, { settings, sessions, assets: pages.assets, markdown: pages.markdown })
    mountData(app, { ...context, sessions })
    mountPictures(app, context)
    mountPageEdit(app, { ...context, ...pages })
    mountReferenceDeletion(app, { ...context, ...pages })
    mountLogin(app, { ...context, sessions, allowsPlainHttp: config.server.test_mode })
    mountSettings(app, { ...context, sessions, baseUrl, imageHost: pages.imageHost })
    mountStars(app, { ...context, sessions })
    mountHolds(app, { ...context, sessions, healthBelievedMs: pages.healthBelievedMs })
    mountStorage(app, { ...context, sessions, healthBelievedMs: pages.healthBelievedMs })
    mountWebhooks(app, { ...context, sessions })
    // Without pages nobody could approve a device.
    mountDeviceRoutes(app, context)
    mountDevicePages(app, { ...context, sessions })
  }
  app.notFound((c) =>
    pages !== undefined && wantsPage(c) ? answerUnknownPage(c, pages) : c.text('not found', 404),
  )
  app.onError((err, c) => {
    if (pages !== undefined && wantsPage(c)) return answerFailedPage(c, pages, err)
    const id = c.get('requestId')
    context.log.error({ err, requestId: id }, 'a request failed')
    if (isDatabaseAway(err))
      return c.text(`try again in a moment (request ${id})`, 503, { 'retry-after': '5' })
    return c.text(`internal error (request ${id})`, 500)
  })
  return app
}

/** What is answered before the app sees it: reads of the registry. */
export function createInterceptor(context: AppContext): RequestInterceptor {
  return registryListener(context)
}

/** Browsers say so; programs get a line of text. */
function wantsPage(c: Context<ServerEnv>): boolean {
  return c.req.header('accept')?.includes('text/html') ?? false
}

/** People who follow the name of an image into a browser get to the one place where their cookies and forms are good. */
function browsersToBaseUrl(server: AppContext['config']['server']): MiddlewareHandler<ServerEnv> {
  const base = new URL(server.base_url)
  const others = new Set(server.registry_domains.filter((host) => host !== base.host))
  return async (context, next) => {
    const { method, url } = context.req
    if (
      method !== 'GET' ||
      !wantsPage(context) ||
      !others.has(context.req.header('host')?.toLowerCase() ?? '')
    )
      return next()
    const { pathname, search } = new URL(url)
    context.header('cache-control', 'no-store')
    return context.redirect(`${base.origin}${pathname}${search}`, 302)
  }
}

function pagesNeeds(context: AppContext, builds: HelperBuilds): PagesNeeds {
  const { identities, indexer, now, config, remoteImages, settings, webSessions } = context
  const assets = loadAssets()
  settings.watch((next) => {
    const brand = loadBrand(next)
    return () => assets.wear(brand)
  })
  const baseUrl = config.server.base_url
  const origin = oauthOrigin(new URL(baseUrl))
  const proxiedPath = (url: string) => remoteImages.path(url)
  const showsImages = config.ui.remote_images === 'proxy'
  return {
    ...context,
    assets,
    baseUrl,
    imageHost: config.server.registry_domains[0],
    cards: new Cards({ renderer: new CardRenderer(), now }),
    healthBelievedMs: () => {
      const { cache_ttl: extraMs, check_interval: intervalMs } = settings.current.health
      return intervalMs + extraMs
    },
    helper: { builds, downloadBase: config.credential_helper.download_base },
    imagePath: showsImages ? proxiedPath : () => undefined,
    markdown: new Markdown({ imagePath: proxiedPath, images: showsImages ? 'proxy' : 'link', now }),
    requestOwner: (did: Did) => indexer.requestBackfill(did),
    sessions: new BrowserSessions({ webSessions, identities, assets, origin, baseUrl }),
  }
}
