import { Hono } from 'hono'

import { clientAddress, trustedProxies } from '../http/client-address.ts'
import { accessLog, requestId, securityHeaders } from '../http/middleware.ts'
import { mountReadiness } from '../http/readiness-routes.ts'
import { requestMetrics } from '../http/request-metrics.ts'
import type { ServerEnv } from '../http/serve.ts'
import { mountXrpc } from '../http/xrpc-routes.ts'
import { logger } from '../lib/log.ts'
import type { Readiness } from '../lib/readiness.ts'
import { answerFailedAdminPage, mountAdmin } from './admin/routes.ts'
import type { HoldContext } from './context.ts'
import { pdsMethods } from './pds/xrpc/methods.ts'
import { mountUploads } from './uploads/routes.ts'
import { mountSignedBlobs } from './uploads/signed-blobs.ts'
import { mountRegistration } from './web/registration.ts'
import { loadAssets } from './web/assets.ts'
import { routeClassOf } from './web/route-classes.ts'
import { mountWeb } from './web/routes.ts'
import { toXrpcError } from './xrpc/errors.ts'
import { mountGetBlob } from './xrpc/getBlob.ts'
import { limitXrpc } from './xrpc/call-limits.ts'
import { holdMethods } from './xrpc/methods.ts'

const log = logger('hold')

/** The edges of a hold on one router. */
export function createApp(context: HoldContext, readiness: Readiness): Hono<ServerEnv> {
  const app = new Hono<ServerEnv>()
  app.use(requestId(), accessLog(log), securityHeaders(context.publicUrl))
  app.use(clientAddress(trustedProxies(context.settings)), requestMetrics('hold', routeClassOf))
  limitXrpc(app, context)
  const assets = loadAssets()
  mountReadiness(app, readiness)
  mountWeb(app, context, assets)
  mountAdmin(app, context, assets)
  mountRegistration(app, context)
  mountUploads(app, context)
  const { signedBlobs, moderation, relayUploads } = context
  if (signedBlobs !== undefined) mountSignedBlobs(app, { ...signedBlobs, moderation, relayUploads })
  mountGetBlob(app, context)
  mountXrpc(app, [...holdMethods(context), ...pdsMethods(context)], { translate: toXrpcError })
  app.notFound((c) => c.json({ error: 'NotFound', message: 'there is nothing here' }, 404))
  app.onError((error, c) => {
    log.error({ err: error, requestId: c.get('requestId') }, 'a request failed')
    const page = answerFailedAdminPage(c, assets, new URL(context.publicUrl).host)
    if (page !== undefined) return page
    return c.json({ error: 'InternalServerError', message: 'internal error' }, 500)
  })
  return app
}
