import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { siteNav } from '../../../http/page-parts.ts'
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
    nav: siteNav('Admin panel', sections, page.section),
  })
}

function accountBox({ did, handle, formToken }: Account): Html {
  return html`<form class="account" method="post" action="/admin/logout">
    ${formTokenField(formToken)}
    <span>Signed in as <strong title="${did}">${handle ?? did}</strong></span>
    <button class="button small">Sign out</button>
  </form>`
}
