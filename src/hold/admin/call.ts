import type { Context, Handler } from 'hono'

import type { Did } from '../../atproto/syntax.ts'
import { opaqueCookie, type OpaqueCookie } from '../../http/cookies.ts'
import { FormError, formErrorStatus, formToken, tryReadForm, type Form } from '../../http/forms.ts'
import type { Html } from '../../http/html.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import type { AdminPanel, HoldContext } from '../context.ts'
import type { HoldAssets } from '../web/assets.ts'
import type { Shell } from '../web/layout.ts'
import { answerPage } from '../web/page-answer.ts'
import { adminSessionLifetimeSeconds } from '../services/admin-sessions.ts'
import type { Account } from './pages/frame.ts'
import { messagePage } from './pages/messages.ts'
import { findName } from './views/people.ts'

const log = logger('hold:admin')

type Ctx = Context<ServerEnv>
type PageStatus = NonNullable<Parameters<typeof answerPage>[2]['status']>

/** What the panel's routes have in common. */
export interface Panel {
  admin: AdminPanel
  access: HoldContext['access']
  identities: HoldContext['identities']
  shell: Shell
  /** The session's token. */
  cookie: OpaqueCookie
}

export function createPanel(
  context: Pick<HoldContext, 'access' | 'identities' | 'publicUrl'>,
  admin: AdminPanel,
  assets: HoldAssets,
): Panel {
  const { access, identities, publicUrl } = context
  const cookie = opaqueCookie({ name: 'hold-admin', origin: admin.origin, path: '/admin' })
  return { admin, access, identities, shell: { assets, host: new URL(publicUrl).host }, cookie }
}

/** A request of somebody who is signed in and may be here. */
export interface AdminCall {
  context: Ctx
  did: Did
  account: Account
  /** Of the session's cookie. */
  sessionToken: string
}

/** A page for admins; everyone else is asked to sign in, whatever is or is not at the address. */
export function adminPage(panel: Panel, handle: (call: AdminCall) => Promise<Response>): Handler<ServerEnv> {
  return async (context) => {
    const call = await admit(panel, context)
    return call instanceof Response ? call : handle(call)
  }
}

/** What a form of ours does; it answers with a redirect, or with the page again and what is wrong with it. */
export function adminAction(
  panel: Panel,
  handle: (call: AdminCall, form: Form) => Promise<Response>,
): Handler<ServerEnv> {
  return async (context) => {
    const call = await admit(panel, context)
    if (call instanceof Response) return call
    const expected = { origin: panel.admin.origin, secret: call.sessionToken }
    const form = await tryReadForm(context, expected)
    if (form instanceof FormError) return answerFormError(panel, context, form)
    return handle(call, form)
  }
}

export async function answerFormError(panel: Panel, context: Ctx, error: FormError): Promise<Response> {
  const page = messagePage(panel.shell, {
    title: 'This form was not taken',
    text: 'It came from another site, was open while you signed in anew, or is not one of ours. Nothing was changed. Go back, load the page again, and send it once more.',
    link: { href: '/admin', text: 'To the overview' },
  })
  return answerAdminPage(context, page, formErrorStatus[error.code])
}

/** After a form: the page that shows what came of it, by GET, so that reloading repeats nothing. */
export function seeOther(context: Ctx, path: string): Response {
  return context.redirect(path, 303)
}

/** A page that is nobody else's business: kept in no cache. */
export async function answerAdminPage(
  context: Ctx,
  page: Html,
  status: PageStatus = 200,
  formAction = "'self'",
): Promise<Response> {
  return answerPage(context, page, { status, formAction, cacheControl: 'no-store' })
}

/** Gives a browser a new session; whatever it was before, a token from elsewhere included, is over. */
export async function signIn(panel: Panel, context: Ctx, did: Did): Promise<void> {
  const before = panel.cookie.read(context)
  if (before !== undefined) await panel.admin.sessions.delete(before)
  const token = await panel.admin.sessions.create(did)
  panel.cookie.write(context, token, adminSessionLifetimeSeconds)
}

/** Who asks, from the session and the records of the hold as they are now; or the way to the login. */
async function admit(panel: Panel, context: Ctx): Promise<AdminCall | Response> {
  const { admin, access, cookie, identities } = panel
  const sessionToken = cookie.read(context)
  if (sessionToken === undefined) return toLogin(context)
  const did = await admin.sessions.find(sessionToken)
  if (did === undefined) {
    cookie.clear(context)
    return toLogin(context, 'ended')
  }
  const decision = await access.decide(did, 'crew:admin')
  if (!decision.isAllowed) {
    log.info({ did }, 'no admin any more')
    await admin.sessions.deleteAll(did)
    cookie.clear(context)
    return toLogin(context, 'removed')
  }
  const account = { did, handle: await findName(identities, did), formToken: formToken(sessionToken) }
  return { context, did, account, sessionToken }
}

function toLogin(context: Ctx, reason?: 'ended' | 'removed'): Response {
  const query = new URLSearchParams()
  if (reason !== undefined) query.set('reason', reason)
  const { path, method } = context.req
  if (method === 'GET' && path !== '/admin' && reason !== 'removed') query.set('next', path)
  return seeOther(context, query.size === 0 ? '/admin/login' : `/admin/login?${query.toString()}`)
}
