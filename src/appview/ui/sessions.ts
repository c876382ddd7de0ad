import type { Context, Handler } from 'hono'

import type { Did } from '../../atproto/syntax.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import { opaqueCookie } from '../../http/cookies.ts'
import { FormError, formErrorStatus, formToken, readForm, type Form } from '../../http/forms.ts'
import type { ServerEnv } from '../../http/serve.ts'
import type { AppContext } from '../context.ts'
import { webSessionLifetimeSeconds } from '../services/web-sessions.ts'
import { answerPage, seeOther } from './answer.ts'
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
  action(handle: (context: Ctx, signedIn: SignedIn, form: Form) => Promise<Response>): Handler<ServerEnv> {
    return async (context) => {
      const session = await this.#find(context)
      if (session === undefined) return toLogin(context)
      const { signedIn, formSecret } = session
      try {
        const form = await readForm(context, { origin: this.#needs.origin, secret: formSecret })
        return await handle(context, signedIn, form)
      } catch (error) {
        if (error instanceof FormError) return this.answerFormError(context, error, signedIn)
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
  const wanted = method === 'GET' ? url : context.req.header('referer')
  if (wanted === undefined || !URL.canParse(wanted)) return seeOther(context, '/auth/oauth/login')
  // Of the address of another site its path is left, under which there is nothing here; the login form checks it.
  const { pathname, search } = new URL(wanted)
  return seeOther(context, `/auth/oauth/login?${new URLSearchParams({ next: pathname + search }).toString()}`)
}
