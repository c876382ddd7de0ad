import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { HoldContext } from '../context.ts'
import { homePage } from './home-page.ts'

type Needs = Pick<HoldContext, 'crew' | 'identity' | 'publicUrl'>

/** What a hold says about itself: health, identity, and a page for people who come by. */
export function mountWeb(app: Hono<ServerEnv>, { crew, identity, publicUrl }: Needs): void {
  app.get('/health', (context) => context.json({ status: 'ok' }))
  app.get('/xrpc/_health', (context) => context.json({ status: 'ok' }))
  app.get('/.well-known/did.json', (context) => {
    context.header('access-control-allow-origin', '*')
    return context.json(identity.document)
  })
  app.get('/.well-known/atproto-did', (context) => context.text(identity.did))
  app.get('/robots.txt', (context) => context.text('User-agent: *\nDisallow: /\n'))
  app.get('/', async (context) => {
    const captain = await crew.getCaptain()
    context.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'") // prettier-ignore
    return context.html(await homePage({ did: identity.did, publicUrl, captain }))
  })
}
