import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import type { ShownSums } from '../services/shown-sums.ts'
import { answerCard, type Cards } from './cards/answer-card.ts'

import type { Assets } from './assets.ts'
import { mountCrawlerFiles } from './crawler-routes.ts'
import { answerFeed, type FeedForm } from './feeds/answer-feed.ts'
import { parseRepositoryAddress } from './repository-address.ts'
import { viewOwnerCard, viewRepositoryCard, viewSiteCard } from './views/card.ts'
import { viewOwnerFeed, viewRepositoryFeed } from './views/feed.ts'
import type { ViewNeeds } from './views/owner.ts'
import type { RegistryPlace } from './views/pull-commands.ts'

export interface PublicFilesNeeds extends Omit<ViewNeeds, 'viewer'>, RegistryPlace {
  assets: Assets
  shownSums: Pick<ShownSums, 'ofRepository'>
  cards: Cards
}

type Ctx = Context<ServerEnv>
type RepositoryFile = (context: Ctx, path: string) => Promise<Response>

/**
 * What is there for programs: feeds, pictures for shared links, maps for search engines. They show what everyone may see, whoever asks: no
 * cookie is read and none is set, so that any cache may keep them.
 */
export function mountPublicFiles(app: Hono<ServerEnv>, needs: PublicFilesNeeds): void {
  const { baseUrl } = needs
  mountCrawlerFiles(app, needs)
  const repositoryFeed =
    (form: FeedForm): RepositoryFile =>
    async (context, path) => {
      const view = await viewRepositoryFeed(needs, path)
      return answerFeed(context, { form, view, path: `${view?.path}/-/${form}`, baseUrl })
    }
  const repositoryFiles: ReadonlyMap<string, RepositoryFile> = new Map([
    ['-/feed.atom', repositoryFeed('feed.atom')],
    ['-/feed.json', repositoryFeed('feed.json')],
    [
      '-/card.png',
      async (context, path) => answerCard(context, needs, await viewRepositoryCard(needs, path)),
    ],
  ])
  app.get('/r/:path{.+}', (context, next) => {
    const { page, path } = parseRepositoryAddress(context.req.param('path'))
    const answer = repositoryFiles.get(page)
    return answer === undefined ? next() : answer(context, path)
  })

  for (const form of ['feed.atom', 'feed.json'] as const) {
    app.get(`/u/:actor/${form}`, async (context) => {
      const view = await viewOwnerFeed(needs, context.req.param('actor') ?? '')
      return answerFeed(context, { form, view, path: `${view?.path}/${form}`, baseUrl })
    })
  }
  app.get('/u/:actor/card.png', async (context) =>
    answerCard(context, needs, await viewOwnerCard(needs, context.req.param('actor'))),
  )
  app.get('/card.png', (context) => answerCard(context, needs, viewSiteCard(needs)))
}
