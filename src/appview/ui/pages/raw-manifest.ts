import { html, type Html } from '../../../http/html.ts'
import { formatCount, shortDigest } from '../../../lib/format.ts'
import { manifestPath } from '../views/manifest-page.ts'
import type { JsonLine, JsonToken } from '../views/json-lines.ts'
import type { RawManifestView } from '../views/raw-manifest.ts'
import { layout, type Shell } from './layout.ts'
import { manifestTabs, repositoryHeading } from './manifest-parts.ts'
import { copyButton } from './parts.ts'

/** A manifest as JSON, every line with an address. */
export function rawManifestPage(shell: Shell, view: RawManifestView): Html {
  const { digest, hrefs, lines, name, owner, repositoryPath } = view
  const place = { repositoryPath, digest, tag: undefined, path: manifestPath(repositoryPath, digest) }
  return layout(shell, {
    title: `Raw ${shortDigest(digest)} · ${owner.label}/${name}`,
    isUnlisted: true,
    main: html`
      <header class="page-header">
        ${repositoryHeading(view, html`<code>${shortDigest(digest)}</code> ${copyButton(digest, `Copy digest ${shortDigest(digest)}`)}`)}
      </header>
      ${manifestTabs(place, 'raw')}
      <section aria-label="JSON">
        <div class="head">
          <p class="quiet">
            ${formatCount(view.sizeBytes, 'byte')}, laid out to be read; clients fetch the exact ones at
            <code class="type">${view.registryPath}</code>
          </p>
          <p><a class="button small" href="${view.downloadPath}" download>Download the exact bytes</a></p>
        </div>
        <div class="raw after">${lines.map((line, index) => lineOf(line, index + 1, hrefs))}</div>
        ${
          view.isCut &&
          html`<p class="notice warm after" role="status">
            The manifest goes on: this is too much for a page.
            <a href="${view.downloadPath}" download>Download all of it</a>.
          </p>`
        }
      </section>
    `,
  })
}

function lineOf({ indent, tokens }: JsonLine, number: number, hrefs: ReadonlyMap<string, string>): Html {
  const parts = tokens.map((token) => tokenOf(token, hrefs))
  // An element of running text: its white space is the page's.
  return html`<span id="L${number}"
    ><a href="#L${number}">${number}</a><code>${' '.repeat(indent)}${parts}</code></span
  >`
}

function tokenOf({ kind, text }: JsonToken, hrefs: ReadonlyMap<string, string>): Html | string {
  if (kind === 'key') return html`<b>${text}</b>`
  if (kind === 'other') return html`<i>${text}</i>`
  const href = kind === 'string' ? hrefs.get(text.slice(1, -1)) : undefined
  return href === undefined ? text : html`<a href="${href}">${text}</a>`
}
