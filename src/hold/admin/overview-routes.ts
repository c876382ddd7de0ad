import type { Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import type { HoldContext } from '../context.ts'
import { adminAction, adminPage, answerAdminPage, seeOther, type Panel } from './call.ts'
import { overviewPage } from './pages/overview.ts'
import { repositoriesPage } from './pages/repositories.ts'
import { storagePage } from './pages/storage.ts'
import { viewOverview, type OverviewNeeds } from './views/overview.ts'
import { viewRepositories } from './views/repositories.ts'

const log = logger('hold:admin')

type Needs = OverviewNeeds & Pick<HoldContext, 'gc' | 'stats'>

/** What there is to see, relays, and garbage collection. */
export function mountOverview(app: Hono<ServerEnv>, panel: Panel, needs: Needs): void {
  const { crawlRequests, gc, now } = needs

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

  app.get(
    '/admin/storage',
    adminPage(panel, async ({ account, context }) => {
      const notice =
        context.req.query('done') === 'busy'
          ? ({ kind: 'warm', text: 'A run goes on already; this is how far it has come.' } as const)
          : undefined
      const view = { progress: await gc.progress(), notice, now: now() }
      return answerAdminPage(context, storagePage(panel.shell, account, view))
    }),
  )

  app.post(
    '/admin/storage/collect',
    adminAction(panel, async ({ context, did }, form) => {
      // Only the word deletes: what cannot be read is a preview.
      const isDryRun = form.text('mode') !== 'run'
      const isBegun = await gc.start({ isDryRun })
      if (isBegun) log.info({ did, isDryRun }, 'garbage collection was asked for')
      return seeOther(context, isBegun ? '/admin/storage' : '/admin/storage?done=busy')
    }),
  )
}
