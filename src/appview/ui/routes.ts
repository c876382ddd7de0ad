import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { isDatabaseAway } from '../../lib/database.ts'
import type { Logger } from '../../lib/log.ts'
import { cleanText } from '../../lib/format.ts'
import type { LivePushes } from '../services/live-pushes.ts'
import type { Search } from '../services/search.ts'
import type { ShownSums } from '../services/shown-sums.ts'
import { answerPage } from './answer.ts'
import type { Assets } from './assets.ts'
import { showDeletion } from './reference-deletion-routes.ts'
import {
  answerMissingTag,
  showBlob,
  showDiff,
  showManifest,
  showRawManifest,
  showTag,
  showTagHistory,
  type ManifestPagesNeeds,
} from './manifest-routes.ts'
import { showPageEdit } from './page-edit-routes.ts'
import { PushStreams } from './live-routes.ts'
import { parseRepositoryAddress, type RepositoryAddress } from './repository-address.ts'
import { showRepository, type RepositoryPagesNeeds } from './repository-routes.ts'
import type { BrowserSessions, SignedIn } from './sessions.ts'
import { failurePage, notFoundPage } from './pages/errors.ts'
import { homePage } from './pages/home.ts'
import { installPage } from './pages/install.ts'
import type { Shell } from './pages/layout.ts'
import { describeSearch, showSearch } from './search-routes.ts'
import { ownerTabs, showOwner } from './owner-routes.ts'
import { mountPublicFiles, type PublicFilesNeeds } from './public-routes.ts'
import { showStars } from './star-routes.ts'
import { viewHome } from './views/home.ts'
import { viewInstall, type InstallNeeds } from './views/install.ts'
import type { ViewNeeds } from './views/owner.ts'
import { registryAddress } from './views/pull-commands.ts'

/** What the pages need; a piece of the AppView's context. */
export interface PagesNeeds
  extends
    Omit<ViewNeeds, 'viewer'>,
    InstallNeeds,
    ManifestPagesNeeds,
    PublicFilesNeeds,
    RepositoryPagesNeeds {
  assets: Assets
  sessions: BrowserSessions
  search: Search
  shownSums: ShownSums
  livePushes: LivePushes
  log: Logger
}

const namedLengthMax = 120

/** One request for a page: who looks, and what the page is framed with. */
export interface Visit {
  context: Context<ServerEnv>
  signedIn: SignedIn | undefined
  /** What views ask, on behalf of who looks. */
  needs: PagesNeeds & ViewNeeds
  /** For the page under `path`, its address without query. */
  shell: (path: string) => Shell
}

/** One page below `/r/`; nothing where there is no such repository. */
type RepositoryPage = (visit: Visit, address: RepositoryAddress) => Promise<Response | undefined>

/** The pages of a repository, by what {@link parseRepositoryAddress} calls them. */
const repositoryPages: ReadonlyMap<string, RepositoryPage> = new Map([
  ['overview', showRepository],
  ['tag', showTagOrRepository],
  ['manifest', showManifest],
  ['-/raw', showRawManifest],
  ['-/diff', showDiff],
  ['-/history', showTagHistory],
  ['-/blob', showBlob],
  ['-/edit', showPageEdit],
  ['-/delete', showDeletion],
])

/** Mounts the pages and what they load. */
export function mountPages(app: Hono<ServerEnv>, needs: PagesNeeds): void {
  mountPublicFiles(app, needs)
  const registry = registryAddress(needs)
  const page = (path: string, show: (visit: Visit) => Promise<Response>) =>
    app.get(path, async (context) => show(await visitOf(context, needs)))

  page('/', async ({ context, shell }) => {
    const view = await viewHome(needs)
    return answerPage(context, homePage(shell('/'), { ...view, registry }), { isLive: true })
  })

  for (const tab of ownerTabs) {
    page(`/u/:actor${tab.suffix}`, async (visit) => {
      const actor = visit.context.req.param('actor') ?? ''
      return (await showOwner(visit, actor, tab)) ?? notFound(visit.context, needs, 'owner', actor)
    })
  }

  page('/stars', showStars)
  const streams = new PushStreams(needs)
  app.get('/events/pushes', (context) => streams.answer(context))
  page('/search', showSearch)
  app.get('/opensearch.xml', (context) => describeSearch(context, needs))

  page('/r/:path{.+}', async (visit) => {
    const address = parseRepositoryAddress(visit.context.req.param('path') ?? '')
    const show = repositoryPages.get(address.page)
    if (show === undefined) return notFound(visit.context, needs, 'page', '')
    return (await show(visit, address)) ?? notFound(visit.context, needs, 'repository', address.path)
  })

  page('/install', async ({ context, shell }) =>
    answerPage(context, installPage(shell('/install'), await viewInstall(needs))),
  )

  app.get('/assets/:file', async (context) => {
    const asset = needs.assets.find(context.req.param('file'))
    if (asset === undefined) return notFound(context, needs, 'page', '')
    return context.body(asset.bytes, 200, {
      'content-type': asset.contentType,
      // A picture that is looked at by itself is a page: what an SVG may have in it does not run.
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      'cache-control': 'public, max-age=31536000, immutable',
    })
  })
}

async function visitOf(context: Context<ServerEnv>, needs: PagesNeeds): Promise<Visit> {
  const signedIn = await needs.sessions.find(context)
  return {
    context,
    signedIn,
    needs: { ...needs, viewer: signedIn?.did },
    shell: (path) => needs.sessions.shell(path, signedIn),
  }
}

/** A repository may be called `…/tags/…`: it is looked for when there is no such tag. */
async function showTagOrRepository(visit: Visit, address: RepositoryAddress): Promise<Response | undefined> {
  const whole = { ...address, path: `${address.path}/tags/${address.reference}` }
  return (
    (await showTag(visit, address)) ??
    (await showRepository(visit, whole)) ??
    (await answerMissingTag(visit, address))
  )
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
  const status = isDatabaseAway(err) ? 503 : 500
  return answerPage(context, failurePage({ assets: needs.assets, account: null }, requestId, status), {
    status,
  })
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
