import type { Context, Handler } from 'hono'

import type { Did } from '../../atproto/syntax.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import { opaqueCookie } from '../../http/cookies.ts'
import {
  FormError,
  formErrorStatus,
  formToken,
  readForm,
  type Form,
  type FormOptions,
} from '../../http/forms.ts'
import { ownPath } from '../../http/own-path.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { webSessionLifetimeSeconds } from '../services/web-sessions.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import { answerPage, seeOther, type PageStatus } from './answer.ts'
import { messagePage } from './pages/errors.ts'
import type { Shell, SignedInAccount } from './pages/layout.ts'
import type { Assets } from './assets.ts'

type Ctx = Context<ServerEnv>

/** A browser that is signed in. */
export interface SignedIn extends SignedInAccount {
  did: Did
  sessionId: string
}

interface Needs extends Pick<AppContext, 'webSessions'> {
  identities: Pick<AppContext['identities'], 'resolveDid'>
  assets: Assets
  /** Where our cookies belong, and our forms come from. */
  origin: string
  /** What pages call themselves. */
  baseUrl: string
}

/** Cookie ⇄ web session: who looks at a page, and who sent a form. */
export class BrowserSessions {
  readonly #needs: Needs
  readonly #cookie

  constructor(needs: Needs) {
    this.#needs = needs
    this.#cookie = opaqueCookie({ name: 'atcr', origin: needs.origin, path: '/' })
  }

  /** Who is signed in at this browser. A new token goes out with the answer when it is time for one. */
  async find(context: Ctx): Promise<SignedIn | undefined> {
    return (await this.#find(context))?.signedIn
  }

  /** Gives a browser a new session; whatever it had before, a token from elsewhere included, is over. */
  async begin(context: Ctx, did: Did): Promise<void> {
    const { webSessions } = this.#needs
    const before = this.#cookie.read(context)
    const found = before === undefined ? undefined : await webSessions.find(before)
    if (found !== undefined) await webSessions.delete(found.did, found.id)
    const userAgent = context.req.header('user-agent') ?? ''
    const address = clientAddressOf(context)
    this.#cookie.write(context, await webSessions.create(did, { userAgent, address }), webSessionLifetimeSeconds) // prettier-ignore
  }

  /** Forgets the cookie; the session itself is for {@link WebSessions} to end. */
  clear(context: Ctx): void {
    this.#cookie.clear(context)
  }

  /** What the pages of this visitor are framed with. */
  shell(path: string, signedIn: SignedIn | undefined): Shell {
    const { assets, baseUrl } = this.#needs
    return { assets, canonicalUrl: new URL(path, baseUrl).href, ...(signedIn && { account: signedIn }) }
  }

  /** … for a page that needs one. */
  signedInShell(path: string, signedIn: SignedIn): Shell & { account: SignedInAccount } {
    return { ...this.shell(path, signedIn), account: signedIn }
  }

  /** A page for people who are signed in; others are asked to sign in, and come back to it. */
  page(handle: (context: Ctx, signedIn: SignedIn) => Promise<Response>): Handler<ServerEnv> {
    return async (context) => {
      const signedIn = await this.find(context)
      return signedIn === undefined ? toLogin(context) : handle(context, signedIn)
    }
  }

  /** What a form of ours does, sent by the browser it was made for. Answer with {@link seeOther}, or the page again. */
  action(
    handle: (context: Ctx, signedIn: SignedIn, form: Form) => Promise<Response>,
    options: FormOptions = {},
  ): Handler<ServerEnv> {
    return async (context) => {
      const session = await this.#find(context)
      if (session === undefined) return toLogin(context)
      const { signedIn, formSecret } = session
      try {
        const form = await readForm(context, { origin: this.#needs.origin, secret: formSecret }, options)
        return await handle(context, signedIn, form)
      } catch (error) {
        if (error instanceof FormError) return this.answerFormError(context, error, signedIn)
        if (error instanceof AppViewError) return this.#answerFailedAction(context, error, signedIn)
        throw error
      }
    }
  }

  /** What to show for a form that was not taken; nothing was changed by it. */
  answerFormError(context: Ctx, error: FormError, signedIn?: SignedIn): Response | Promise<Response> {
    const page = messagePage(this.shell(context.req.path, signedIn), {
      title: 'This form was not taken',
      text: 'It came from another site, was open while you signed in anew, or is not one of ours. Nothing was changed. Go back, load the page again, and send it once more.',
    })
    return answerPage(context, page, { status: formErrorStatus[error.code], isPrivate: true })
  }

  /** What a form asked for could not be done, by no fault of ours; the person is told what to do. */
  #answerFailedAction(context: Ctx, error: AppViewError, signedIn: SignedIn): Response | Promise<Response> {
    const { retryAfterSeconds } = error
    if (retryAfterSeconds !== undefined) context.header('retry-after', String(retryAfterSeconds))
    const back = ownPath(pathOfReferer(context) ?? '', '/settings')
    const shell = this.shell(context.req.path, signedIn)
    if (error.code === 'session_lost') {
      const page = messagePage(shell, {
        title: 'Sign in once more',
        text: 'Your server has ended the access it gave to this registry, so nothing can be written for you there. Nothing was changed.',
        link: { href: loginPath(back), text: 'Sign in' },
      })
      return answerPage(context, page, { status: 403, isPrivate: true })
    }
    const page = messagePage(shell, {
      title: 'That did not work',
      text: `${error.message.slice(0, 1).toUpperCase()}${error.message.slice(1)}.`,
      link: { href: back, text: 'Back' },
    })
    return answerPage(context, page, { status: statusOf(error), isPrivate: true })
  }

  async #find(context: Ctx): Promise<{ signedIn: SignedIn; formSecret: string } | undefined> {
    const token = this.#cookie.read(context)
    if (token === undefined) return undefined
    const found = await this.#needs.webSessions.find(token)
    if (found === undefined) {
      this.#cookie.clear(context)
      return undefined
    }
    const { did, formSecret, id: sessionId, newToken } = found
    if (newToken !== undefined) this.#cookie.write(context, newToken, webSessionLifetimeSeconds)
    const identity = await this.#needs.identities.resolveDid(did).catch(() => undefined)
    const signedIn = { did, handle: identity?.handle, sessionId, formToken: formToken(formSecret) }
    return { signedIn, formSecret }
  }
}

/** To the login, and back to where somebody wanted to be; who sent a form, to the page that it is on. */
function toLogin(context: Ctx): Response {
  const { method, url } = context.req
  const wanted = method === 'GET' ? pathOf(url) : pathOfReferer(context)
  return seeOther(context, wanted === undefined ? '/auth/oauth/login' : loginPath(wanted))
}

function loginPath(next: string): string {
  return `/auth/oauth/login?${new URLSearchParams({ next }).toString()}`
}

/** The page that a form is on. Of the address of another site its path is left, under which there is nothing here. */
function pathOfReferer(context: Ctx): string | undefined {
  const referer = context.req.header('referer')
  return referer === undefined || !URL.canParse(referer) ? undefined : pathOf(referer)
}

function pathOf(url: string): string {
  const { pathname, search } = new URL(url)
  return pathname + search
}

/** Whose fault it was, in HTTP's words. */
function statusOf({ code }: AppViewError): PageStatus {
  if (code === 'rate_limited') return 429
  return unreachable.has(code) ? 503 : 422
}

const unreachable: ReadonlySet<AppViewErrorCode> = new Set([
  'pds_failed',
  'pds_unreachable',
  'hold_unreachable',
  'identity_unreachable',
])
