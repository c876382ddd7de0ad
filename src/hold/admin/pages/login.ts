import type { AtprotoErrorCode } from '../../../atproto/errors.ts'
import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { fieldError, notice } from '../../../http/page-parts.ts'
import { layout, type Shell } from '../../web/layout.ts'

export interface LoginView {
  formToken: string
  /** What was typed. */
  actor: string
  returnPath: string
  /** Why somebody is here. */
  reason?: string | undefined
  error?: string
}

/** Why the login page is shown, by what stands in its address. */
export const loginReasons: ReadonlyMap<string, string> = new Map([
  ['ended', 'Your session has ended. Sign in again.'],
  ['removed', 'Your account may not manage this hold any more.'],
  ['out', 'You are signed out.'],
  ['cookie', 'Your browser did not send back the cookie of this page. Allow cookies here, and try again.'],
])

/** What failed, and what to do. Codes that are not here are answered like `bad_answer`. */
export const loginFailures: Partial<Record<AtprotoErrorCode, string>> & { bad_answer: string } = {
  handle_unresolved:
    'Nobody was found under this handle. Check the spelling; it looks like alice.example.com.',
  did_unresolved: 'Nobody was found under this DID.',
  unreachable: 'The server of this account did not answer. Try again in a moment.',
  address_refused:
    'Signing in does not work at this address of the hold: servers know only hosts with a public name.',
  rate_limited: 'The server of this account asks to wait. Try again in a few minutes.',
  login_denied: 'You did not give access, so you are not signed in. Nothing else has happened.',
  login_unknown: 'This login was begun in another browser, or too long ago. Begin again.',
  scope_missing: 'The server did not confirm who you are. Try again.',
  auth_failed: 'The server of this account refused the login. Try again.',
  bad_answer: 'This account cannot be signed in: its server did not answer as expected.',
}

/** Where everybody begins who is not signed in. It tells nothing about the hold but its name. */
export function loginPage(shell: Shell, view: LoginView): Html {
  const { actor, error, formToken, reason, returnPath } = view
  return layout(shell, {
    title: 'Sign in',
    tagline: 'admin panel',
    main: html`
      <div class="narrow">
        <h1>Sign in</h1>
        <p class="lead">For the captain of this hold, and crew with <code>crew:admin</code>.</p>
      </div>
      ${reason !== undefined && html`<div class="narrow">${notice('warm', reason)}</div>`}
      <form class="form panel" method="post" action="/admin/login">
        ${formTokenField(formToken)}
        <input type="hidden" name="next" value="${returnPath}" />
        <div class="field">
          <label for="actor">Handle</label>
          <input
            class="input"
            id="actor"
            name="actor"
            value="${actor}"
            autocomplete="username"
            autocapitalize="none"
            spellcheck="false"
            required
            maxlength="500"
            aria-describedby="actor-hint${error === undefined ? '' : ' actor-error'}"
            aria-invalid="${error === undefined ? 'false' : 'true'}"
          />
          ${fieldError('actor', error)}
          <p class="hint" id="actor-hint">
            Such as <code>alice.example.com</code>. A DID, or the https address of your server, will do too.
          </p>
        </div>
        <p><button class="button primary">Continue to your server</button></p>
        <p class="note">
          You sign in at your own server, never here. This hold learns who you are, and nothing else: it asks
          for no rights to your account and keeps no tokens.
        </p>
      </form>
    `,
  })
}

/** Somebody proved who they are, and may not be here. */
export function refusedPage(
  shell: Shell,
  { did, handle, captain }: { did: string; handle: string | undefined; captain: string },
): Html {
  return layout(shell, {
    title: 'Not for this account',
    tagline: 'admin panel',
    main: html`<section class="stack narrow">
      <h1>This account does not manage this hold</h1>
      <p>
        You are <strong>${handle ?? did}</strong>. Only the captain, <strong>${captain}</strong>, and crew
        with <code>crew:admin</code> come in here. You are not signed in.
      </p>
      <p>Did you mean another of your accounts? Your server may offer it while you sign in.</p>
      <p>If you should be here, the captain can make you crew with <code>crew:admin</code>. Your DID is:</p>
      <p><code>${did}</code></p>
      <p><a class="button" href="/admin/login">Sign in with another account</a></p>
    </section>`,
  })
}
