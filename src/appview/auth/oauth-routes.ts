import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'

/** What other servers read to know this AppView as an OAuth client; on loopback it is known without. */
export function mountOAuthDocuments(
  app: Hono<ServerEnv>,
  { oauthLogins, log }: Pick<AppContext, 'oauthLogins' | 'log'>,
): void {
  if (!oauthLogins.origin.startsWith('https:')) return
  const answer = (name: 'metadata' | 'jwks') => async (context: Context<ServerEnv>) => {
    try {
      const documents = await oauthLogins.documents()
      if (documents === undefined) return context.notFound()
      return context.json(documents[name], 200, { 'cache-control': 'public, max-age=600' })
    } catch (error) {
      log.warn({ err: error }, 'nobody can sign in at this address')
      return context.notFound()
    }
  }
  app.get('/oauth-client-metadata.json', answer('metadata'))
  app.get('/oauth/jwks.json', answer('jwks'))
}
