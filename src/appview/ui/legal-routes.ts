import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { answerPage } from './answer.ts'
import { privacyPage, termsPage, type LegalView } from './pages/legal.ts'
import type { BrowserSessions } from './sessions.ts'

/** What people agree to, and what is kept about them. */
export function mountLegal(
  app: Hono<ServerEnv>,
  { config, sessions }: Pick<AppContext, 'config'> & { sessions: BrowserSessions },
): void {
  const { host } = new URL(config.server.base_url)
  const { company_name: company, jurisdiction } = config.legal
  const view: LegalView = { host, operator: company ?? `the operator of ${host}`, jurisdiction }
  for (const [path, page] of [
    ['/terms', termsPage],
    ['/privacy', privacyPage],
  ] as const) {
    app.get(path, async (context) =>
      answerPage(context, page(sessions.shell(path, await sessions.find(context)), view)),
    )
  }
}
