import { html, type Html } from '../../../http/html.ts'
import { loginForm } from '../../../http/login-form.ts'
import { notice } from '../../../http/page-parts.ts'
import { layout, type Shell } from './layout.ts'

export interface LoginView {
  formToken: string
  /** What was typed, or who is signed in. */
  actor: string
  returnPath: string
  /** Why somebody is here. */
  reason?: string | undefined
  error?: string
}

/** Why the login page is shown, by what stands in its address. */
export const loginReasons: ReadonlyMap<string, string> = new Map([
  ['out', 'You are signed out.'],
  [
    'everywhere',
    'You are signed out in every browser, and this site has given back its access to your account. Your devices stay paired, but cannot push until you sign in again; an app password still can.',
  ],
  ['cookie', 'Your browser did not send back the cookie of this page. Allow cookies here, and try again.'],
])

export function loginPage(shell: Shell, view: LoginView): Html {
  const { reason, ...form } = view
  return layout(shell, {
    title: 'Sign in',
    main: html`
      <div class="sign-in stack">
        <h1>Sign in</h1>
        <p class="lead">With the account you have anywhere on the AT&nbsp;Protocol, such as Bluesky.</p>
        ${reason !== undefined && notice('warm', reason)}
        ${loginForm({ ...form, action: '/auth/oauth/login', note })}
      </div>
    `,
  })
}

const note = html`You sign in at your own server, never here. It asks you to let this registry write your
images, tags, profile and stars into your own data repo, and talk to the holds that keep your layers. Nothing
else is asked for, and you can take it back at any time.`
