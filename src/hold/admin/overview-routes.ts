import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { HoldContext } from '../context.ts'
import { adminAction, adminPage, answerAdminPage, seeOther, type Panel } from './call.ts'
import { overviewPage } from './pages/overview.ts'
import { repositoriesPage } from './pages/repositories.ts'
import { viewOverview, type OverviewNeeds } from './views/overview.ts'
import { viewRepositories } from './views/repositories.ts'

type Needs = OverviewNeeds & Pick<HoldContext, 'stats'>

/** What there is to see, and relays. */
export function mountOverview(app: Hono<ServerEnv>, panel: Panel, needs: Needs): void {
  const { crawlRequests } = needs

  app.get(
    '/admin',
    adminPage(panel, async ({ account, context }) => {
      const notice = context.req.query('done') === 'crawl' ? 'The relays were asked; see below what they said.' : undefined // prettier-ignore
      const view = { ...(await viewOverview(needs)), notice }
      return answerAdminPage(context, overviewPage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/crawl',
    adminAction(panel, async ({ context }) => {
      await crawlRequests.request()
      return seeOther(context, '/admin?done=crawl')
    }),
  )

  app.get(
    '/admin/repositories',
    adminPage(panel, async ({ account, context }) => {
      const view = await viewRepositories(needs, context.req.query('by') === 'pushes' ? 'pushes' : 'pulls')
      return answerAdminPage(context, repositoriesPage(panel.shell, account, view))
    }),
  )
}
