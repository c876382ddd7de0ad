import { html, type Html } from '../../../http/html.ts'
import { loginForm } from '../../../http/login-form.ts'
import { notice } from '../../../http/page-parts.ts'
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
      ${loginForm({
        action: '/admin/login',
        formToken,
        actor,
        returnPath,
        error,
        note: `You sign in at your own server, never here. This hold learns who you are, and nothing else: it asks
          for no rights to your account and keeps no tokens.`,
      })}
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
