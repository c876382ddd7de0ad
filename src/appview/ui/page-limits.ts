import type { Context, Hono, MiddlewareHandler } from 'hono'

import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { answerPage } from './answer.ts'
import { messagePage } from './pages/errors.ts'
import type { BrowserSessions } from './sessions.ts'
import { isOwnerKnown, readActor } from './views/owner.ts'

interface Needs extends Pick<AppContext, 'db' | 'identities' | 'limits'> {
  sessions: BrowserSessions
}

/** Limits what one network may ask of pages that cost more than reading a few rows. Mounted before them. */
export function limitPages(app: Hono<ServerEnv>, needs: Needs): void {
  const { limits } = needs
  app.use('/search', async (context, next) => {
    const waitSeconds = await limits.ofAddress('searches', clientAddressOf(context))
    return waitSeconds === undefined ? next() : answerBusy(needs, context, waitSeconds)
  })
  const pictures: MiddlewareHandler<ServerEnv> = async (context, next) => {
    const waitSeconds = await limits.ofAddress('pictures', clientAddressOf(context))
    if (waitSeconds === undefined) return next()
    return context.text('too many pictures at once', 429, retryHeaders(waitSeconds))
  }
  app.use('/image', pictures)
  app.use('/avatar/*', pictures)
  // `/r/<owner>/…` and `/u/<owner>/…`, whatever is shown of them.
  app.use('/r/*', (context, next) => limitLookups(needs, context, next))
  app.use('/u/*', (context, next) => limitLookups(needs, context, next))
}

/** A name that nobody here has heard of has us ask servers of the caller's choice. */
async function limitLookups(
  needs: Needs,
  context: Context<ServerEnv>,
  next: () => Promise<void>,
): Promise<Response | void> {
  const actor = readActor(ownerOf(context.req.path))
  if (actor === undefined || (await isOwnerKnown(needs, actor))) return next()
  const waitSeconds = await needs.limits.ofAddress('name_lookups', clientAddressOf(context))
  return waitSeconds === undefined ? next() : answerBusy(needs, context, waitSeconds)
}

function ownerOf(path: string): string {
  const [, , owner = ''] = path.split('/', 3)
  try {
    return decodeURIComponent(owner)
  } catch {
    return ''
  }
}

async function answerBusy(
  { sessions }: Needs,
  context: Context<ServerEnv>,
  waitSeconds: number,
): Promise<Response> {
  for (const [name, value] of Object.entries(retryHeaders(waitSeconds))) context.header(name, value)
  const page = messagePage(sessions.shell('/', await sessions.find(context)), {
    title: 'Too much at once',
    text: `Your network asked for much that this registry has to look up first. Load the page again in ${waitSeconds} s.`,
  })
  return answerPage(context, page, { status: 429 })
}

const retryHeaders = (waitSeconds: number) => ({ 'retry-after': String(waitSeconds) })
