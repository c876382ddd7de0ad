import { html, type Html } from '../../../../http/html.ts'
import { notice, siteNav } from '../../../../http/page-parts.ts'
import { layout, type Shell, type SignedInAccount } from '../layout.ts'

/** What a settings page is framed with: somebody is signed in. */
export interface SettingsShell extends Shell {
  account: SignedInAccount
}

const places = [
  ['/settings', 'Account'],
  ['/settings/devices', 'Devices'],
  ['/settings/sign-ins', 'Sign-ins'],
  ['/settings/app-passwords', 'App passwords'],
  ['/settings/webhooks', 'Webhooks'],
  ['/settings/data', 'Your data'],
] as const

/** A page of the settings. */
export function settingsPage(
  shell: SettingsShell,
  page: {
    place: (typeof places)[number][0]
    title: string
    lead: Html | string
    /** What a form led to. */
    done: string | undefined
    main: Html
  },
): Html {
  return layout(shell, {
    title: page.title,
    nav: siteNav('Settings', places, page.place),
    main: html`
      <header class="page-header">
        <h1>${page.title}</h1>
        <p class="lead">${page.lead}</p>
      </header>
      ${page.done !== undefined && html`<section>${notice('good', page.done)}</section>`} ${page.main}
    `,
  })
}
