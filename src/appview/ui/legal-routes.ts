import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { answerPage } from './answer.ts'
import type { Assets } from './assets.ts'
import type { Markdown } from './markdown/markdown.ts'
import { ownLegalPage, privacyPage, termsPage, type LegalView } from './pages/legal.ts'
import type { BrowserSessions } from './sessions.ts'

interface Needs extends Pick<AppContext, 'settings'> {
  assets: Assets
  markdown: Pick<Markdown, 'render'>
  sessions: BrowserSessions
}

/** What people agree to, and what is kept about them: in the operator's words, else in ours. */
export function mountLegal(app: Hono<ServerEnv>, needs: Needs): void {
  const { assets, markdown, sessions, settings } = needs
  const { host } = new URL(settings.current.server.base_url)
  const view = (): LegalView => {
    const { company_name: company, jurisdiction } = settings.current.legal
    return { host, operator: company ?? `the operator of ${host}`, jurisdiction }
  }
  for (const { name, page, title } of [
    { name: 'terms', title: 'Terms', page: termsPage },
    { name: 'privacy', title: 'Privacy', page: privacyPage },
  ] as const) {
    app.get(`/${name}`, async (context) => {
      const shell = sessions.shell(`/${name}`, await sessions.find(context))
      const own = assets.brand[name]
      if (own === undefined) return answerPage(context, page(shell, view()))
      const text = await markdown.render(own, { topLevel: 2 })
      return answerPage(context, ownLegalPage(shell, title, text))
    })
  }
}
