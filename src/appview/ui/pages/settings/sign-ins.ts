import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { age } from '../../../../http/page-parts.ts'
import { settingsPage, type SettingsShell } from './frame.ts'

export interface SignInView {
  id: string
  /** In words: `Firefox on Linux`. */
  browser: string
  address: string
  createdAt: Date
  usedAt: Date
  /** The browser that asks. */
  isThis: boolean
}

export interface SignInsView {
  signIns: readonly SignInView[]
  now: Date
  done: string | undefined
}

/** The browsers in which an account is signed in. */
export function signInsPage(shell: SettingsShell, view: SignInsView): Html {
  const { formToken } = shell.account
  return settingsPage(shell, {
    place: '/settings/sign-ins',
    title: 'Sign-ins',
    lead: 'Browsers in which you are signed in. One that is not used for two weeks is signed out by itself.',
    done: view.done,
    main: html`
      <section aria-label="Browsers">
        <form method="post" action="/settings/sign-ins/end">
          ${formTokenField(formToken)}
          <ul class="entries">
            ${view.signIns.map((signIn) => signInItem(signIn, view.now))}
          </ul>
        </form>
        <p class="note">
          What a browser is called is what it says of itself. One that you do not know? Sign it out, and
          change the password of your account at your data server.
        </p>
      </section>
      <section class="panel stack" aria-labelledby="everywhere">
        <h2 id="everywhere">Sign out everywhere</h2>
        <p>
          Ends every sign-in, this one too, and gives back the access that this registry has to your data
          server, by sign-in and by app password. Devices stay paired, but cannot push until you sign in
          again. Your app passwords stay good: at its next use, your server is asked about one.
        </p>
        <form method="post" action="/auth/logout">
          ${formTokenField(formToken)}
          <button class="button danger" name="everywhere" value="yes">Sign out everywhere</button>
        </form>
      </section>
    `,
  })
}

function signInItem(signIn: SignInView, now: Date): Html {
  const { address, browser, id, isThis } = signIn
  return html`<li class="entry">
    <h2>${browser} ${isThis && html`<span class="chip good">this browser</span>`}</h2>
    <p class="facts">
      <span>Last used ${age(signIn.usedAt, now)}</span>
      <span>Signed in ${age(signIn.createdAt, now)}${address !== '' && ` from ${address}`}</span>
    </p>
    <div class="buttons">
      ${
        isThis
          ? html`<button class="button small" formaction="/auth/logout" aria-label="Sign out this browser">
              Sign out
            </button>`
          : html`<button class="button small" name="id" value="${id}" aria-label="Sign out ${browser}">
              Sign out
            </button>`
      }
    </div>
  </li>`
}
