import { answerPage } from './answer.ts'
import type { Markdown } from './markdown/markdown.ts'
import { repositoryPage } from './pages/repository.ts'
import type { RepositoryAddress } from './repository-address.ts'
import type { Visit } from './routes.ts'
import { registryAddress } from './views/pull-commands.ts'
import { viewRepository, type RepositoryViewNeeds } from './views/repository.ts'

/** What the pages of a repository need besides what all pages do. */
export interface RepositoryPagesNeeds extends Pick<RepositoryViewNeeds, 'imagePath' | 'remoteReadmes'> {
  markdown: Pick<Markdown, 'render'>
}

/** What a repository is, how to pull it, and what is in it. */
export async function showRepository(
  { context, needs, shell, signedIn }: Visit,
  { path }: RepositoryAddress,
): Promise<Response | undefined> {
  const registry = registryAddress(needs)
  const query = {
    page: context.req.query('page'),
    q: context.req.query('q'),
    sort: context.req.query('sort'),
  }
  const view = await viewRepository({ ...needs, registry, user: signedIn?.handle }, path, query)
  if (view === undefined) return undefined
  const readme = view.readme && (await needs.markdown.render(view.readme.text, view.readme))
  return answerPage(context, repositoryPage(shell(view.path), { ...view, readme }))
}
