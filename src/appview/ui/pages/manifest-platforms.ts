import { html, type Html } from '../../../http/html.ts'
import type { AttestationView, ChildView } from '../views/index-children.ts'
import type { Cut } from '../views/loose-json.ts'
import { digestLink, more, scanChips, size } from './manifest-parts.ts'
import { breakable } from './parts.ts'

/** What an index lists. */
export function platformTable({ items, moreCount }: Cut<ChildView>): Html {
  const isScanned = items.some(({ scan }) => scan !== undefined)
  return html`<section aria-labelledby="platforms">
    <h2 id="platforms">Platforms</h2>
    ${
      items.length === 0
        ? html`<p class="empty">This index lists nothing.</p>`
        : html`<table class="table">
            <thead>
              <tr>
                <th scope="col">Platform</th>
                <th scope="col">Digest</th>
                <th scope="col" class="number">Size</th>
                ${isScanned && html`<th scope="col">Known vulnerabilities</th>`}
                <th scope="col">Stated about it</th>
              </tr>
            </thead>
            <tbody>
              ${items.map((child) => row(child, isScanned))}
            </tbody>
          </table>`
    }
    ${more(moreCount, 'manifest')}
  </section>`
}

function row({ attestations, digest, name, path, scan, sizeBytes }: ChildView, isScanned: boolean): Html {
  return html`<tr>
    <th scope="row">
      ${path === undefined ? breakable(name) : html`<a href="${path}">${breakable(name)}</a>`}
    </th>
    <td data-label="Digest">
      ${digestLink(digest, path)}
      ${path === undefined && html`<span class="quiet">not in this registry</span>`}
    </td>
    <td data-label="Size" class="number">${size(sizeBytes)}</td>
    ${
      isScanned &&
      html`<td data-label="Vulnerabilities">
        ${scan === undefined ? html`<span class="quiet">not scanned</span>` : scanChips(scan)}
      </td>`
    }
    <td data-label="Stated about it">
      ${attestations.length === 0 ? html`<span class="quiet">nothing</span>` : attestations.map(attestation)}
    </td>
  </tr>`
}

function attestation({ labels, path }: AttestationView): Html {
  const text = labels.join(', ')
  return path === undefined ? html`<span>${text}</span>` : html`<a href="${path}">${text}</a> `
}
