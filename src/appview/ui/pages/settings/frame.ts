import { html, type Html } from '../../../../http/html.ts'
import { notice, siteNav } from '../../../../http/page-parts.ts'
import { layout, type Shell, type SignedInAccount } from '../layout.ts'

/** What a settings page is framed with: somebody is signed in. */
export interface SettingsShell extends Shell {
  account: SignedInAccount
}

const places = [
  ['/settings', 'Account'],
  ['/settings/storage', 'Storage'],
  ['/settings/devices', 'Devices'],
  ['/settings/sign-ins', 'Sign-ins'],
  ['/settings/app-passwords', 'App passwords'],
  ['/settings/webhooks', 'Webhooks'],
  ['/settings/data', 'Your data'],
] as const

/** Says that nothing can be written for somebody, and how to change that. */
export function lostAccess(path: string): Html {
  const login = `/auth/oauth/login?${new URLSearchParams({ next: path }).toString()}`
  return html`<section>
    ${notice(
      'warm',
      html`Your data server has ended the access it gave to this registry: pushes and changes of settings fail
        until you <a href="${login}">sign in again</a>. Your images can be pulled as before.`,
    )}
  </section>`
}

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
