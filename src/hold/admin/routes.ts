import type { Context, Hono } from 'hono'

import { atOrigin } from '../../http/at-origin.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import type { AdminPanel, HoldContext } from '../context.ts'
import type { HoldAssets } from '../web/assets.ts'
import { adminPage, answerAdminPage, createPanel, type Panel } from './call.ts'
import { mountCrew } from './crew-routes.ts'
import { mountLogin } from './login-routes.ts'
import { mountOverview } from './overview-routes.ts'
import { messagePage } from './pages/messages.ts'
import { mountSettings } from './settings-routes.ts'
import { mountStorage } from './storage-routes.ts'

const log = logger('hold:admin')

/** The admin panel under `/admin`; nothing at all when it is switched off. */
export function mountAdmin(app: Hono<ServerEnv>, context: HoldContext, assets: HoldAssets): void {
  const { admin } = context
  if (admin === undefined) return
  const panel = createPanel(context, admin, assets)
  app.use('/admin/*', atOrigin(admin.origin))
  mountDocuments(app, admin)
  mountLogin(app, panel, context)
  mountOverview(app, panel, context)
  mountCrew(app, panel, context)
  mountSettings(app, panel, context)
  mountStorage(app, panel, context)
  app.all(
    '/admin/*',
    adminPage(panel, (call) => notFound(panel, call.context)),
  )
}

/** A failure while one of the panel's pages was made; undefined for requests that are none of the panel's. */
export function answerFailedAdminPage(
  context: Context<ServerEnv>,
  assets: HoldAssets,
  host: string,
): Promise<Response> | undefined {
  if (!/^\/admin(?:\/|$)/.test(context.req.path)) return undefined
  const page = messagePage(
    { assets, host },
    {
      title: 'Something went wrong',
      text: 'The fault is on our side. Images are not affected. Try again in a moment.',
      code: context.get('requestId'),
      link: { href: '/admin', text: 'To the overview' },
    },
  )
  return answerAdminPage(context, page, 500)
}

/** What others read to know this hold as an OAuth client. */
function mountDocuments(app: Hono<ServerEnv>, admin: AdminPanel): void {
  if (!admin.origin.startsWith('https:')) return
  const answer = (name: 'metadata' | 'jwks') => async (context: Context<ServerEnv>) => {
    try {
      const { documents } = await admin.oauth()
      if (documents === undefined) return context.notFound()
      return context.json(documents[name], 200, { 'cache-control': 'public, max-age=600' })
    } catch (error) {
      log.warn({ err: error }, 'nobody can sign in at this address')
      return context.notFound()
    }
  }
  app.get('/oauth/client-metadata.json', answer('metadata'))
  app.get('/admin/oauth/jwks.json', answer('jwks'))
  // Where servers that remember an older metadata document look.
  app.get('/oauth/jwks.json', answer('jwks'))
}

function notFound(panel: Panel, context: Context<ServerEnv>): Promise<Response> {
  const page = messagePage(panel.shell, {
    title: 'Nothing here',
    text: 'This address leads nowhere. It may be misspelled, or be an old link.',
    link: { href: '/admin', text: 'To the overview' },
  })
  return answerAdminPage(context, page, 404)
}
