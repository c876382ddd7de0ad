import { sha256Hex } from '../lib/ids.ts'
import { AtprotoError } from './errors.ts'

/** What comes back with somebody who went to sign in at their server. */
interface LoginState {
  /** Hash of what only the browser that began has. */
  browserHash: string
  returnPath: string
}

/** The browser in which a login begins: a secret of its own, and the path it wants to come back to. */
export interface LoginBrowser {
  browserKey: string
  returnPath: string
}

/** A login that was not completed, in the browser that began it. */
export class LoginEndedError extends AtprotoError {
  /** Where it would have led. */
  readonly returnPath: string

  constructor(cause: AtprotoError, returnPath: string) {
    super(cause.code, cause.message, { cause })
    this.returnPath = returnPath
  }
}

export function formatLoginState({ browserKey, returnPath }: LoginBrowser): string {
  return JSON.stringify({ browserHash: sha256Hex(browserKey), returnPath } satisfies LoginState)
}

/**
 * Where the login leads to, if this is the browser that began it: nobody is signed in as somebody else by a link.
 * @throws {AtprotoError} `login_unknown`
 */
export function readLoginState(state: string, browserKey: string | undefined): { returnPath: string } {
  const { browserHash, returnPath } = JSON.parse(state) as LoginState
  if (browserKey === undefined || sha256Hex(browserKey) !== browserHash)
    throw new AtprotoError('login_unknown', 'the login was begun in another browser')
  return { returnPath }
}

/** Whom people mean who type or paste `@alice.example`, `at://…`, with invisible characters around. */
export function cleanActor(text: string): string {
  const actor = text.replaceAll(/[\p{Cc}\p{Cf}\s]/gu, '')
  if (/^https?:\/\//i.test(actor) || actor.startsWith('did:')) return actor
  return actor.replace(/^(@|at:\/\/)/, '').toLowerCase()
}
