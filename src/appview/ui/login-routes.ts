import type { Context, Hono } from 'hono'

import { AtprotoError } from '../../atproto/errors.ts'
import { loginAdvice } from '../../atproto/login-advice.ts'
import { LoginEndedError } from '../../atproto/login-state.ts'
import { atOrigin } from '../../http/at-origin.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import { opaqueCookie } from '../../http/cookies.ts'
import { FormError, formToken, tryReadForm } from '../../http/forms.ts'
import { actorLengthMax } from '../../http/login-form.ts'
import { ownPath } from '../../http/own-path.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { AttemptLimit } from '../../lib/attempt-limit.ts'
import { randomId } from '../../lib/ids.ts'
import { networkOf } from '../../lib/networks.ts'
import type { AppContext } from '../context.ts'
import { answerPage, seeOther } from './answer.ts'
import { loginPage, loginReasons, type LoginView } from './pages/login.ts'
import type { BrowserSessions } from './sessions.ts'

type Ctx = Context<ServerEnv>

export interface LoginNeeds extends Pick<
  AppContext,
  'oauthLogins' | 'sailorSetups' | 'signOuts' | 'log' | 'now'
> {
  sessions: BrowserSessions
  /** Whether people's servers may be on plain http: development only. */
  allowsPlainHttp: boolean
}

const loginPath = '/auth/oauth/login'
/** How long the browser that began is remembered. */
const loginSeconds = 3600
/** Of one network: each asks other servers, and leaves something to be remembered. */
const beginLimit = { countMax: 20, everySeconds: 30 }
/** Where a login leads that was begun without wanting to be anywhere. */
const homePath = '/'

/**
 * Signing in and out. The form leads to the person's own server, which leads back to the callback. A cookie of the browser
 * that began is looked for when it comes back, so that nobody can be signed in as somebody else by a link.
 */
export function mountLogin(app: Hono<ServerEnv>, needs: LoginNeeds): void {
  const { oauthLogins, sailorSetups, sessions, signOuts, log, now } = needs
  const { origin } = oauthLogins
  const limit = new AttemptLimit({ now, ...beginLimit })
  const browserCookie = opaqueCookie({ name: 'atcr-login', origin, path: '/auth/oauth' })
  // Browsers apply this to the redirect to the person's server as well.
  const formAction = needs.allowsPlainHttp ? "'self' https: http:" : "'self' https:"

  const answerLogin = async (
    context: Ctx,
    browserKey: string,
    view: Omit<LoginView, 'formToken'>,
    status: 200 | 422 | 429 = 200,
  ): Promise<Response> => {
    const shell = sessions.shell(loginPath, await sessions.find(context))
    const page = loginPage(shell, { ...view, formToken: formToken(browserKey) })
    return answerPage(context, page, { status, formAction, isPrivate: true })
  }

  app.use('/auth/oauth/*', atOrigin(origin))
  app.use('/auth/logout', atOrigin(origin))

  app.get(loginPath, async (context) => {
    const browserKey = browserCookie.read(context) ?? randomId(32)
    browserCookie.write(context, browserKey, loginSeconds)
    const reason = loginReasons.get(context.req.query('reason') ?? '')
    const returnPath = ownPath(context.req.query('next') ?? '', homePath)
    // Whoever is signed in may be here because the session with his own server has ended.
    const signedIn = await sessions.find(context)
    return answerLogin(context, browserKey, { actor: signedIn?.handle ?? '', returnPath, reason })
  })

  app.post(loginPath, async (context) => {
    const browserKey = browserCookie.read(context)
    if (browserKey === undefined) return seeOther(context, `${loginPath}?reason=cookie`)
    const form = await tryReadForm(context, { origin, secret: browserKey })
    if (form instanceof FormError) return sessions.answerFormError(context, form)
    const actor = form.text('actor')
    const returnPath = ownPath(form.text('next'), homePath)
    const view = { actor, returnPath }
    const waitSeconds = limit.take(networkOf(clientAddressOf(context)))
    if (waitSeconds !== undefined) {
      context.header('retry-after', String(waitSeconds))
      const error = `Too many attempts from your network. Try again in ${waitSeconds} s.`
      return answerLogin(context, browserKey, { ...view, error }, 429)
    }
    if (actor === '' || actor.length > actorLengthMax)
      return answerLogin(context, browserKey, { ...view, error: 'Enter your handle.' }, 422)
    try {
      const url = await oauthLogins.begin(actor, { browserKey, returnPath })
      return seeOther(context, url.href)
    } catch (error) {
      if (!(error instanceof AtprotoError)) throw error
      log.info({ err: error }, 'a login could not begin')
      return answerLogin(context, browserKey, { ...view, error: loginAdvice(error.code) }, 422)
    }
  })

  app.get('/auth/oauth/callback', async (context) => {
    const query = new URL(context.req.url).searchParams
    try {
      const { did, returnPath } = await oauthLogins.finish(query, browserCookie.read(context))
      browserCookie.clear(context)
      await sessions.begin(context, did)
      log.info({ did }, 'signed in')
      sailorSetups.begin(did)
      return seeOther(context, returnPath)
    } catch (error) {
      if (!(error instanceof AtprotoError)) throw error
      log.info({ err: error }, 'a login was not completed')
      // The cookie stays: a login that is under way in this browser is not this one's business.
      const browserKey = browserCookie.read(context) ?? randomId(32)
      browserCookie.write(context, browserKey, loginSeconds)
      const returnPath = error instanceof LoginEndedError ? error.returnPath : homePath
      const view = { actor: '', returnPath, error: loginAdvice(error.code) }
      return answerLogin(context, browserKey, view, 422)
    }
  })

  app.post(
    '/auth/logout',
    sessions.action(async (context, { did, sessionId }, form) => {
      const isEverywhere = form.isChecked('everywhere')
      if (isEverywhere) await signOuts.signOutEverywhere(did)
      else await signOuts.signOut(did, sessionId)
      sessions.clear(context)
      log.info({ did, isEverywhere }, 'signed out')
      return seeOther(context, `${loginPath}?reason=${isEverywhere ? 'everywhere' : 'out'}`)
    }),
  )
}
