import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { HoldContext } from '../context.ts'
import type { HoldAssets } from './assets.ts'
import { homePage } from './home-page.ts'
import { answerPage } from './page-answer.ts'

type Needs = Pick<HoldContext, 'admin' | 'crew' | 'identity' | 'publicUrl'>

/** What a hold says about itself: health, identity, and a page for people who come by. */
export function mountWeb(app: Hono<ServerEnv>, needs: Needs, assets: HoldAssets): void {
  const { admin, crew, identity, publicUrl } = needs
  app.get('/health', (context) => context.json({ status: 'ok' }))
  app.get('/xrpc/_health', (context) => context.json({ status: 'ok' }))
  app.get('/.well-known/did.json', (context) => {
    context.header('access-control-allow-origin', '*')
    return context.json(identity.document)
  })
  app.get('/.well-known/atproto-did', (context) => context.text(identity.did))
  app.get('/robots.txt', (context) => context.text('User-agent: *\nDisallow: /\n'))
  app.get('/', async (context) => {
    const view = {
      did: identity.did,
      captain: await crew.getCaptain(),
      isAdminEnabled: admin !== undefined,
    }
    const { host } = new URL(publicUrl)
    return answerPage(context, homePage({ assets, host }, view), { cacheControl: 'no-cache' })
  })
  app.get('/assets/:file', (context) => {
    const asset = assets.find(context.req.param('file'))
    if (asset === undefined) return context.notFound()
    return context.body(asset.bytes, 200, {
      'content-type': asset.contentType,
      'cache-control': 'public, max-age=31536000, immutable',
    })
  })
}
