import type { Hono } from 'hono'

import { ownPath } from '../../http/own-path.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { readStarred } from '../services/stars.ts'
import { answerPage, seeOther } from './answer.ts'
import { starsPage } from './pages/stars.ts'
import type { Visit } from './routes.ts'
import type { BrowserSessions } from './sessions.ts'
import { listUnseen, viewStarList } from './views/stars.ts'

export interface StarNeeds extends Pick<AppContext, 'stars'> {
  sessions: BrowserSessions
}

/** One's own stars. */
export async function showStars({ context, needs, shell, signedIn }: Visit): Promise<Response> {
  if (signedIn === undefined)
    return seeOther(context, `/auth/oauth/login?next=${encodeURIComponent('/stars')}`)
  const view = await viewStarList(needs, signedIn, context.req.query('page'))
  if (view === undefined) return seeOther(context, '/stars')
  const unseen = view.page.number === view.page.count ? await listUnseen(needs, signedIn) : []
  const page = starsPage({ ...shell('/stars'), account: signedIn }, { ...view, unseen })
  return answerPage(context, page, { isPrivate: true })
}

/** Giving stars and taking them back: forms of `starButton`, which lead back to the page they are on. */
export function mountStars(app: Hono<ServerEnv>, { sessions, stars }: StarNeeds): void {
  for (const verb of ['put', 'delete'] as const) {
    app.post(
      `/stars/${verb}`,
      sessions.action(async (context, { did }, form) => {
        await stars[verb](did, readStarred(form.text('owner'), form.text('repository')))
        return seeOther(context, ownPath(form.text('next'), '/stars'))
      }),
    )
  }
}
