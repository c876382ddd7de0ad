import { html, type Html } from '../../http/html.ts'
import type { HoldAssets } from './assets.ts'

/** What every page of a hold needs besides its own view. */
export interface Shell {
  assets: HoldAssets
  /** As in the hold's public address; what people know it by. */
  host: string
}

export interface Page {
  title: string
  /** Beside the name of the hold. */
  tagline?: string
  /** Below the header. */
  nav?: Html
  /** At the end of the header. */
  account?: Html
  /** Looks again after so many seconds: for pages that show progress. */
  refreshSeconds?: number | undefined
  main: Html
}

/** A whole document around a page's main content. */
export function layout({ assets, host }: Shell, page: Page): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        ${page.refreshSeconds !== undefined && html`<meta http-equiv="refresh" content="${page.refreshSeconds}" />`}
        <title>${page.title} · ${host}</title>
        <link rel="icon" href="${assets.path('logo.svg')}" type="image/svg+xml" />
        <link rel="stylesheet" href="${assets.path('hold.css')}" />
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="site-header">
          <div class="column">
            <a class="brand" href="/">${logo}<span>${host}</span></a>
            <span class="tagline">${page.tagline ?? 'a hold of ATCR'}</span>
            ${page.account}
          </div>
        </header>
        ${page.nav}
        <main id="main" class="column" tabindex="-1">${page.main}</main>
        <footer class="site-footer">
          <div class="column">
            <p>A hold keeps the layers of container images. Who may do what here is in its public records.</p>
          </div>
        </footer>
      </body>
    </html>`
}

const logo = html`<svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
  <path
    d="M2.6 18.5h26.8c.7 0 1.2.7.9 1.4l-2.7 6.3a3 3 0 0 1-2.8 1.8H7.2a3 3 0 0 1-2.8-1.8l-2.7-6.3c-.3-.7.2-1.4.9-1.4Z"
  />
  <rect x="5.5" y="11" width="6" height="5.5" rx="1.2" />
  <rect class="logo-warm" x="13" y="11" width="6" height="5.5" rx="1.2" />
  <rect x="20.5" y="11" width="6" height="5.5" rx="1.2" />
  <rect class="logo-warm" x="9.2" y="4" width="6" height="5.5" rx="1.2" />
  <rect x="16.8" y="4" width="6" height="5.5" rx="1.2" />
</svg>`
