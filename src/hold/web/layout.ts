import { html, type Html } from '../../http/html.ts'
import { logo } from '../../http/page-parts.ts'
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
