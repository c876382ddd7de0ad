import { html, type Html } from '../../../http/html.ts'
import type { AttestationView, ChildView } from '../views/index-children.ts'
import type { Cut } from '../views/loose-json.ts'
import { digestLink, more, size } from './manifest-parts.ts'
import { breakable } from './parts.ts'

/** What an index lists. */
export function platformTable({ items, moreCount }: Cut<ChildView>): Html {
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
                <th scope="col">Stated about it</th>
              </tr>
            </thead>
            <tbody>
              ${items.map(row)}
            </tbody>
          </table>`
    }
    ${more(moreCount, 'manifest')}
  </section>`
}

function row({ attestations, digest, name, path, sizeBytes }: ChildView): Html {
  return html`<tr>
    <th scope="row">
      ${path === undefined ? breakable(name) : html`<a href="${path}">${breakable(name)}</a>`}
    </th>
    <td data-label="Digest">
      ${digestLink(digest, path)}
      ${path === undefined && html`<span class="quiet">not in this registry</span>`}
    </td>
    <td data-label="Size" class="number">${size(sizeBytes)}</td>
    <td data-label="Stated about it">
      ${attestations.length === 0 ? html`<span class="quiet">nothing</span>` : attestations.map(attestation)}
    </td>
  </tr>`
}

function attestation({ labels, path }: AttestationView): Html {
  const text = labels.join(', ')
  return path === undefined ? html`<span>${text}</span>` : html`<a href="${path}">${text}</a> `
}
