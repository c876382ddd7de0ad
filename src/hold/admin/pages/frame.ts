import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { layout, type Page, type Shell } from '../../web/layout.ts'

/** Who is signed in. */
export interface Account {
  did: string
  handle: string | undefined
  /** For the forms of the page. */
  formToken: string
}

const sections = [
  ['/admin', 'Overview'],
  ['/admin/crew', 'Crew'],
  ['/admin/repositories', 'Repositories'],
  ['/admin/storage', 'Storage'],
  ['/admin/settings', 'Settings'],
] as const

export type Section = (typeof sections)[number][0]

/** A page of the panel for somebody who is signed in. */
export function frame(
  shell: Shell,
  account: Account,
  page: Omit<Page, 'account' | 'nav' | 'tagline'> & { section: Section },
): Html {
  return layout(shell, {
    ...page,
    tagline: 'admin panel',
    account: accountBox(account),
    nav: html`<nav class="site-nav" aria-label="Admin panel">
      <ul class="column">
        ${sections.map(([path, text]) =>
          path === page.section
            ? html`<li><a href="${path}" aria-current="page">${text}</a></li>`
            : html`<li><a href="${path}">${text}</a></li>`,
        )}
      </ul>
    </nav>`,
  })
}

function accountBox({ did, handle, formToken }: Account): Html {
  return html`<form class="account" method="post" action="/admin/logout">
    ${formTokenField(formToken)}
    <span>Signed in as <strong title="${did}">${handle ?? did}</strong></span>
    <button class="button small">Sign out</button>
  </form>`
}

/** What a form led to, or what is wrong with it. */
export function notice(kind: 'good' | 'bad' | 'warm', text: Html | string): Html {
  return html`<p class="notice ${kind}" role="${kind === 'bad' ? 'alert' : 'status'}">${text}</p>`
}
