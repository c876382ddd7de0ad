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

/** A feed about what a page shows. */
export interface FeedLink {
  path: string
  type: 'application/atom+xml' | 'application/feed+json'
  title: string
}

/** A whole document around a page's main content. */
export function layout(
  shell: Shell,
  page: {
    title: string
    description?: string | undefined
    /** Path of the picture that shared links show, 1200 × 630. */
    card?: string | undefined
    feeds?: readonly FeedLink[]
    /** What stands in the search field. */
    searched?: string | undefined
    /** Not for search engines: lists of changing things, and pages for one person. */
    isUnlisted?: boolean
    /** Below the header. */
    nav?: Html
    main: Html
  },
): Html {
  const { assets, canonicalUrl } = shell
  const { brand } = assets
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${page.title === '' ? brand.name : `${page.title} · ${brand.name}`}</title>
        ${page.description && html`<meta name="description" content="${page.description}" />`}
        ${canonicalUrl && html`<link rel="canonical" href="${canonicalUrl}" />`} ${shared(shell, page)}
        ${page.isUnlisted && html`<meta name="robots" content="noindex" />`}
        ${page.feeds?.map(
          ({ path, title, type }) =>
            html`<link rel="alternate" type="${type}" title="${title}" href="${path}" />`,
        )}
        <link
          rel="search"
          type="application/opensearchdescription+xml"
          title="${brand.shortName}"
          href="/opensearch.xml"
        />
        <link
          rel="icon"
          href="${assets.path('icon.svg')}"
          type="${brand.favicon?.contentType ?? 'image/svg+xml'}"
        />
        <link rel="stylesheet" href="${assets.path('atcr.css')}" />
        <script type="module" src="${assets.path('copy.js')}"></script>
        <script type="module" src="${assets.path('keys.js')}"></script>
        ${shell.account && html`<script type="module" src="${assets.path('menu.js')}"></script>`}
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="site-header">
          <div class="column">
            <a class="brand" href="/">${brandLogo(assets)}<span>${brand.shortName}</span></a>
            ${searchForm(page.searched)} ${accountNav(shell.account)}
          </div>
        </header>
        ${page.nav}
        <main id="main" class="column" tabindex="-1">${page.main}</main>
        <footer class="site-footer">
          <div class="column">
            <p>${brand.footerText ?? footerText}</p>
            <ul class="footer-links">
              <li><a href="/install">Install</a></li>
              <li><a href="/terms">Terms</a></li>
              <li><a href="/privacy">Privacy</a></li>
              ${brand.footerLinks.map(({ text, url }) => html`<li><a href="${url}">${text}</a></li>`)}
              <li><button class="plain" type="button" data-opens="keys" hidden>Keyboard</button></li>
            </ul>
          </div>
        </footer>
        ${keysDialog}
        <p id="copy-status" class="visually-hidden" role="status"></p>
      </body>
    </html>`
}

const footerText =
  'Image manifests are signed records in their owners’ own data repos. This page follows the network’s event stream.'

/** Beside the name, which says what it is. */
function brandLogo(assets: Assets): Html {
  return assets.brand.logo === undefined
    ? logo
    : html`<img class="logo" src="${assets.path('logo.svg')}" alt="" width="30" height="30" />`
}

/** What a shared link shows, in the words of the Open Graph protocol. */
function shared(
  { assets, canonicalUrl }: Shell,
  {
    card,
    description,
    title,
  }: { title: string; description?: string | undefined; card?: string | undefined },
): Html | '' {
  if (canonicalUrl === undefined) return ''
  return html`<meta property="og:type" content="website" />
    <meta property="og:site_name" content="${assets.brand.name}" />
    <meta property="og:title" content="${title === '' ? assets.brand.name : title}" />
    <meta property="og:url" content="${canonicalUrl}" />
    ${description && html`<meta property="og:description" content="${description}" />`}
    ${
      card &&
      html`<meta property="og:image" content="${new URL(card, canonicalUrl).href}" />
        <meta property="og:image:width" content="1200" />
        <meta property="og:image:height" content="630" />
        <meta name="twitter:card" content="summary_large_image" />`
    }`
}

function searchForm(searched: string | undefined): Html {
  return html`<form class="search" role="search" action="/search">
    <label class="visually-hidden" for="search">Search images and people</label>
    <input
      class="input"
      type="search"
      id="search"
      name="q"
      value="${searched ?? ''}"
      maxlength="200"
      placeholder="Search images and people"
      aria-keyshortcuts="/"
    />
  </form>`
}

/** The keys that `keys.js` listens to. */
const keysDialog = html`<dialog class="dialog" id="keys" aria-labelledby="keys-title">
  <form method="dialog">
    <h2 id="keys-title">Keyboard</h2>
    <dl class="fact-list">
      <div>
        <dt><kbd>/</kbd></dt>
        <dd>Search</dd>
      </div>
      <div>
        <dt><kbd>?</kbd></dt>
        <dd>This list</dd>
      </div>
      <div>
        <dt><kbd>g</kbd> <kbd>h</kbd></dt>
        <dd>Home</dd>
      </div>
      <div>
        <dt><kbd>g</kbd> <kbd>s</kbd></dt>
        <dd>Your stars</dd>
      </div>
      <div>
        <dt><kbd>j</kbd> <kbd>k</kbd></dt>
        <dd>Next, previous entry of a list</dd>
      </div>
      <div>
        <dt><kbd>y</kbd></dt>
        <dd>Copy the first command of the page</dd>
      </div>
    </dl>
    <p><button class="button">Close</button></p>
  </form>
</dialog>`

/** Whose images commands to paste are about: those of who looks, or of nobody. */
export function exampleOwner({ account }: Shell): string {
  return account?.handle ?? 'you.example'
}

/** The way in, or who is in and the way out. */
function accountNav(account: SignedInAccount | null | undefined): Html | '' {
  if (account === null) return ''
  if (account === undefined)
    return html`<nav class="account" aria-label="Account">
      <a class="button small" href="/auth/oauth/login">Sign in</a>
    </nav>`
  const { did, formToken, handle } = account
  return html`<nav class="account" aria-label="Account">
    <details class="menu">
      <summary>${handle ?? did}</summary>
      <div class="menu-items">
        <ul>
          <li><a href="/u/${handle ?? did}">Your images</a></li>
          <li><a href="/stars">Your stars</a></li>
          <li><a href="/settings">Settings</a></li>
        </ul>
        <form method="post" action="/auth/logout">
          ${formTokenField(formToken)}
          <button class="button small">Sign out</button>
        </form>
      </div>
    </details>
  </nav>`
}
