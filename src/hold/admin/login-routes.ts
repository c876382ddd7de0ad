import type { Context, Hono } from 'hono'

import { AtprotoError } from '../../atproto/errors.ts'
import { loginAdvice } from '../../atproto/login-advice.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import { opaqueCookie } from '../../http/cookies.ts'
import { FormError, formToken, tryReadForm } from '../../http/forms.ts'
import { actorLengthMax } from '../../http/login-form.ts'
import { ownPath } from '../../http/own-path.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { randomId } from '../../lib/ids.ts'
import { logger } from '../../lib/log.ts'
import { networkOf } from '../../lib/networks.ts'
import type { HoldContext } from '../context.ts'
import { adminAction, answerAdminPage, answerFormError, seeOther, signIn, type Panel } from './call.ts'
import { loginPage, loginReasons, refusedPage, type LoginView } from './pages/login.ts'
import { findName } from './views/people.ts'

const log = logger('hold:admin')

type Ctx = Context<ServerEnv>

const loginSeconds = 3600

/**
 * Signing in: the form leads to the person's own server, which leads back to the callback. A cookie of the browser that
 * began is looked for when it comes back, so that nobody can be signed in as somebody else by a link.
 */
export function mountLogin(app: Hono<ServerEnv>, panel: Panel, needs: Pick<HoldContext, 'crew'>): void {
  const { admin, cookie } = panel
  const browserCookie = opaqueCookie({ name: 'hold-login', origin: admin.origin, path: '/admin' })
  // Browsers apply this to the redirect to the person's server as well.
  const formAction = admin.allowsPlainHttp ? "'self' https: http:" : "'self' https:"

  const answerLogin = (
    context: Ctx,
    browserKey: string,
    view: Omit<LoginView, 'formToken'>,
    status: 200 | 422 | 429 = 200,
  ): Promise<Response> =>
    answerAdminPage(context, loginPage(panel.shell, { ...view, formToken: formToken(browserKey) }), status, formAction) // prettier-ignore

  app.get('/admin/login', async (context) => {
    const present = cookie.read(context)
    if (present !== undefined && (await admin.sessions.find(present)) !== undefined)
      return seeOther(context, '/admin')
    const browserKey = browserCookie.read(context) ?? randomId(32)
    browserCookie.write(context, browserKey, loginSeconds)
    const reason = context.req.query('reason') ?? ''
    const returnPath = safeReturnPath(context.req.query('next') ?? '')
    return answerLogin(context, browserKey, { actor: '', returnPath, reason: loginReasons.get(reason) })
  })

  app.post('/admin/login', async (context) => {
    const browserKey = browserCookie.read(context)
    if (browserKey === undefined) return seeOther(context, '/admin/login?reason=cookie')
    const form = await tryReadForm(context, { origin: admin.origin, secret: browserKey })
    if (form instanceof FormError) return answerFormError(panel, context, form)
    const actor = form.text('actor')
    const returnPath = safeReturnPath(form.text('next'))
    const view = { actor, returnPath }
    const waitSeconds = admin.loginLimit.take(networkOf(clientAddressOf(context)))
    if (waitSeconds !== undefined) {
      context.header('retry-after', String(waitSeconds))
      const error = `Too many attempts from your network. Try again in ${waitSeconds} s.`
      return answerLogin(context, browserKey, { ...view, error }, 429)
    }
    if (actor === '' || actor.length > actorLengthMax)
      return answerLogin(context, browserKey, { ...view, error: 'Enter your handle.' }, 422)
    try {
      const url = await admin.logins.begin(actor, { browserKey, returnPath })
      return seeOther(context, url.href)
    } catch (error) {
      if (!(error instanceof AtprotoError)) throw error
      log.info({ err: error }, 'a login could not begin')
      return answerLogin(context, browserKey, { ...view, error: loginAdvice(error.code) }, 422)
    }
  })

  app.get('/admin/oauth/callback', async (context) => {
    const query = new URL(context.req.url).searchParams
    const browserKey = browserCookie.read(context)
    try {
      const { did, returnPath } = await admin.logins.finish(query, browserKey)
      browserCookie.clear(context)
      const decision = await panel.access.decide(did, 'crew:admin')
      if (!decision.isAllowed) {
        log.info({ did }, 'signed in, but no admin')
        const { ownerDid } = await needs.crew.getCaptain()
        const [handle, captain] = await Promise.all(
          [did, ownerDid].map((one) => findName(panel.identities, one)),
        )
        const page = refusedPage(panel.shell, { did, handle, captain: captain ?? ownerDid })
        return await answerAdminPage(context, page, 403)
      }
      await signIn(panel, context, did)
      log.info({ did }, 'admin signed in')
      return seeOther(context, returnPath)
    } catch (error) {
      if (!(error instanceof AtprotoError)) throw error
      log.info({ err: error }, 'a login was not completed')
      const key = randomId(32)
      browserCookie.write(context, key, loginSeconds)
      const view = { actor: '', returnPath: '/admin', error: loginAdvice(error.code) }
      return answerLogin(context, key, view, 422)
    }
  })

  app.post(
    '/admin/logout',
    adminAction(panel, async (call, form) => {
      if (form.isChecked('everywhere')) await admin.sessions.deleteAll(call.did)
      else await admin.sessions.delete(call.sessionToken)
      cookie.clear(call.context)
      return seeOther(call.context, '/admin/login?reason=out')
    }),
  )
}

/** Only below the panel, whatever the link said. */
function safeReturnPath(path: string): string {
  const own = ownPath(path, '/admin')
  return /^\/admin(?:\/|$)/.test(own) && own !== '/admin/login' ? own : '/admin'
}
