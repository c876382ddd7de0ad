import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { Logger } from '../../lib/log.ts'
import { cleanText } from '../../lib/format.ts'
import { answerPage } from './answer.ts'
import type { Assets } from './assets.ts'
import type { BrowserSessions } from './sessions.ts'
import { failurePage, notFoundPage } from './pages/errors.ts'
import { homePage } from './pages/home.ts'
import { installPage } from './pages/install.ts'
import type { Shell } from './pages/layout.ts'
import { ownerPage } from './pages/owner.ts'
import { repositoryPage } from './pages/repository.ts'
import { viewHome } from './views/home.ts'
import { viewInstall, type InstallNeeds } from './views/install.ts'
import { viewOwner } from './views/owner-page.ts'
import type { ViewNeeds } from './views/owner.ts'
import { registryAddress } from './views/pull-commands.ts'
import { viewRepository } from './views/repository.ts'

/** What the pages need; a piece of the AppView's context. */
export interface PagesNeeds extends ViewNeeds, InstallNeeds {
  assets: Assets
  sessions: BrowserSessions
  log: Logger
}

const namedLengthMax = 120

/** Mounts the pages and what they load. */
export function mountPages(app: Hono<ServerEnv>, needs: PagesNeeds): void {
  const registry = registryAddress(needs.baseUrl)
  const { sessions } = needs
  const shellOf = async (context: Context<ServerEnv>, path: string): Promise<Shell> =>
    sessions.shell(path, await sessions.find(context))

  app.get('/', async (context) => {
    const view = await viewHome(needs)
    return answerPage(context, homePage(await shellOf(context, '/'), { ...view, registry }))
  })

  app.get('/u/:actor', async (context) => {
    const actor = context.req.param('actor')
    const view = await viewOwner(needs, actor)
    if (view === undefined) return notFound(context, needs, 'owner', actor)
    return answerPage(context, ownerPage(await shellOf(context, view.owner.path), view))
  })

  app.get('/r/:path{.+}', async (context) => {
    const path = context.req.param('path')
    const view = await viewRepository({ ...needs, registry }, path, context.req.query('page'))
    if (view === undefined) return notFound(context, needs, 'repository', path)
    return answerPage(context, repositoryPage(await shellOf(context, view.path), view))
  })

  app.get('/install', async (context) => {
    const view = await viewInstall(needs)
    return answerPage(context, installPage(await shellOf(context, '/install'), view))
  })

  app.get('/assets/:file', async (context) => {
    const asset = needs.assets.find(context.req.param('file'))
    if (asset === undefined) return notFound(context, needs, 'page', '')
    return context.body(asset.bytes, 200, {
      'content-type': asset.contentType,
      'cache-control': 'public, max-age=31536000, immutable',
    })
  })
}

/** The answer to an address that nothing is mounted at, for people. */
export function answerUnknownPage(
  context: Context<ServerEnv>,
  needs: Pick<PagesNeeds, 'sessions'>,
): Promise<Response> {
  return notFound(context, needs, 'page', '')
}

/** The answer to a failure while a page was made; logged here, once. */
export function answerFailedPage(
  context: Context<ServerEnv>,
  needs: Pick<PagesNeeds, 'assets' | 'log'>,
  err: unknown,
): Response | Promise<Response> {
  const requestId = context.get('requestId') as string | undefined
  needs.log.error({ err, requestId, path: context.req.path }, 'a page failed')
  return answerPage(context, failurePage({ assets: needs.assets, account: null }, requestId), { status: 500 })
}

async function notFound(
  context: Context<ServerEnv>,
  { sessions }: Pick<PagesNeeds, 'sessions'>,
  what: Parameters<typeof notFoundPage>[1],
  named: string,
): Promise<Response> {
  const shell = sessions.shell('/', await sessions.find(context))
  return answerPage(context, notFoundPage(shell, what, cleanText(named, namedLengthMax)), { status: 404 })
}
