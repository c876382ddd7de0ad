import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { logo } from '../../../http/page-parts.ts'
import type { Assets } from '../assets.ts'

/** Who looks at a page. */
export interface SignedInAccount {
  did: string
  /** Undefined while it cannot be looked up. */
  handle: string | undefined
  /** For the forms on the page: see `formTokenField`. */
  formToken: string
}

/** What every page needs besides its own view. */
export interface Shell {
  assets: Assets
  /** `null` where it could not be found out. */
  account?: SignedInAccount | null
  /** The page's address without query, absolute; search engines and shared links get this one. */
  canonicalUrl?: string
}

/** A whole document around a page's main content. */
export function layout(
  shell: Shell,
  page: {
    title: string
    description?: string | undefined
    /** Below the header. */
    nav?: Html
    main: Html
  },
): Html {
  const { assets, canonicalUrl } = shell
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${page.title === '' ? 'ATCR' : `${page.title} · ATCR`}</title>
        ${page.description && html`<meta name="description" content="${page.description}" />`}
        ${canonicalUrl && html`<link rel="canonical" href="${canonicalUrl}" />`}
        <link rel="icon" href="${assets.path('logo.svg')}" type="image/svg+xml" />
        <link rel="stylesheet" href="${assets.path('atcr.css')}" />
        <script type="module" src="${assets.path('copy.js')}"></script>
        ${shell.account && html`<script type="module" src="${assets.path('menu.js')}"></script>`}
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="site-header">
          <div class="column">
            <a class="brand" href="/">${logo}<span>ATCR</span></a>
            <span class="tagline">container registry on the AT&nbsp;Protocol</span>
            ${accountNav(shell.account)}
          </div>
        </header>
        ${page.nav}
        <main id="main" class="column" tabindex="-1">${page.main}</main>
        <footer class="site-footer">
          <div class="column">
            <p>
              Image manifests are signed records in their owners’ own data repos. This page follows the
              network’s event stream.
            </p>
          </div>
        </footer>
        <p id="copy-status" class="visually-hidden" role="status"></p>
      </body>
    </html>`
}

/** Whose images commands to paste are about: those of who looks, or of nobody. */
export function exampleOwner({ account }: Shell): string {
  return account?.handle ?? 'you.example'
}

/** The way in, or who is in and the way out. */
function accountNav(account: SignedInAccount | null | undefined): Html | '' {
  if (account === null) return ''
  if (account === undefined)
    return html`<nav class="account" aria-label="Account">
      <a href="/install">Install</a>
      <a class="button small" href="/auth/oauth/login">Sign in</a>
    </nav>`
  const { did, formToken, handle } = account
  return html`<nav class="account" aria-label="Account">
    <details class="menu">
      <summary>${handle ?? did}</summary>
      <div class="menu-items">
        <ul>
          <li><a href="/u/${handle ?? did}">Your images</a></li>
          <li><a href="/settings">Settings</a></li>
          <li><a href="/install">Install</a></li>
        </ul>
        <form method="post" action="/auth/logout">
          ${formTokenField(formToken)}
          <button class="button small">Sign out</button>
        </form>
      </div>
    </details>
  </nav>`
}
