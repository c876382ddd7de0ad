import { answerPage } from './answer.ts'
import { ownerPage, type OwnerList } from './pages/owner.ts'
import type { Visit } from './routes.ts'
import { findOwner, readActor, type OwnerView, type ViewNeeds } from './views/owner.ts'
import { viewOwnerHeader, viewOwnerRepositories } from './views/owner-page.ts'
import { viewStarList } from './views/stars.ts'

type Query = (name: string) => string | undefined

/** The two lists of an account's page, each with an address of its own. */
interface OwnerTab {
  suffix: '' | '/stars'
  view: (needs: ViewNeeds, owner: OwnerView, query: Query) => Promise<OwnerList | undefined>
}

export const ownerTabs: readonly OwnerTab[] = [
  {
    suffix: '',
    view: async (needs, owner, query) => {
      const wanted = { page: query('page'), q: query('q'), sort: query('sort') }
      const repositories = await viewOwnerRepositories(needs, owner, wanted)
      return repositories && { tab: 'repositories', repositories }
    },
  },
  {
    suffix: '/stars',
    view: async (needs, owner, query) => {
      const stars = await viewStarList(needs, owner, query('page'))
      return stars && { tab: 'stars', stars }
    },
  },
]

/** An account's page; undefined when there is none. */
export async function showOwner(
  { context, needs, shell }: Visit,
  actorText: string,
  { suffix, view }: OwnerTab,
): Promise<Response | undefined> {
  const actor = readActor(actorText)
  if (actor === undefined) return undefined
  const { search } = new URL(context.req.url)
  // Another spelling of the same name, for good.
  if (actor !== actorText) return context.redirect(`/u/${actor}${suffix}${search}`, 301)
  const owner = await findOwner(needs, actor)
  if (owner === undefined) return undefined
  // A handle of before. It may become somebody else's, so nobody is to remember this.
  if (!actor.startsWith('did:') && owner.label !== actor)
    return context.redirect(`${owner.path}${suffix}${search}`, 302)
  const list = await view(needs, owner, (name) => context.req.query(name))
  if (list === undefined) return undefined
  const header = await viewOwnerHeader(needs, owner)
  return answerPage(context, ownerPage(shell(owner.path + suffix), header, list))
}
