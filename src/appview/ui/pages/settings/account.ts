import { formTokenField } from '../../../../http/forms.ts'
import { html, type Html } from '../../../../http/html.ts'
import { fact } from '../../../../http/page-parts.ts'
import { formatCount } from '../../../../lib/format.ts'
import { copyButton } from '../parts.ts'
import { lostAccess, settingsPage, type SettingsShell } from './frame.ts'

export interface AccountView {
  /** Undefined while it cannot be looked up. */
  pdsUrl: string | undefined
  deviceCount: number
  signInCount: number
  hasAppPassword: boolean
  /** Whether the registry may still act at the account's own server. */
  hasAccess: boolean
}

/** Who is signed in, where the account lives, and what has access to it. */
export function accountPage(shell: SettingsShell, view: AccountView): Html {
  const { account } = shell
  const { did, formToken, handle } = account
  return settingsPage(shell, {
    place: '/settings',
    title: 'Account',
    lead: 'Who you are here, and what may act in your name.',
    done: undefined,
    main: html`
      ${!view.hasAccess && lostAccess('/settings')}
      <section class="panel" aria-label="Account">
        <dl class="fact-list">
          ${fact('Handle', handle ?? html`<span class="quiet">cannot be looked up at the moment</span>`)}
          ${fact('DID', html`<span class="did"><code>${did}</code>${copyButton(did, 'Copy the DID')}</span>`)}
          ${fact('Data server', view.pdsUrl === undefined ? html`<span class="quiet">cannot be looked up at the moment</span>` : new URL(view.pdsUrl).host)}
          ${fact('Images', html`<a href="/u/${handle ?? did}">what others see of you</a>`)}
        </dl>
        <p class="note">
          Handle and password belong to your data server, and are changed there. Whatever your handle becomes,
          the DID stays, and your images with it.
        </p>
      </section>
      <section aria-labelledby="access">
        <h2 id="access">What has access</h2>
        <ul class="entries">
          ${accessEntry('/settings/devices', 'Devices', view.deviceCount === 0 ? 'None is paired. The credential helper pairs one.' : `${formatCount(view.deviceCount, 'device')} may push and pull as you.`)}
          ${accessEntry('/settings/sign-ins', 'Sign-ins', `${formatCount(view.signInCount, 'browser')} signed in, with this one.`)}
          ${accessEntry('/settings/app-passwords', 'App passwords', view.hasAppPassword ? 'One is in use here.' : 'None is in use here. They are for CI, and machines without the helper.')}
        </ul>
      </section>
      <section aria-label="Sign out">
        <form method="post" action="/auth/logout">
          ${formTokenField(formToken)}
          <button class="button">Sign out of this browser</button>
        </form>
      </section>
    `,
  })
}

function accessEntry(path: string, name: string, text: string): Html {
  return html`<li>
    <h3><a href="${path}">${name}</a></h3>
    <p class="facts">${text}</p>
  </li>`
}
