import { html, type Html } from '../../../http/html.ts'
import { age, notice } from '../../../http/page-parts.ts'
import { formatTime } from '../../../lib/format.ts'
import type { TagHistoryView, TagMoveView } from '../views/tag-history.ts'
import { layout, type Shell } from './layout.ts'
import { digestLink, manifestTabs, repositoryHeading, size } from './manifest-parts.ts'
import { platforms } from './parts.ts'

/** How a tag moved, the last move first. */
export function tagHistoryPage(shell: Shell, view: TagHistoryView): Html {
  const { digest, moves, name, owner, tag, tagPath } = view
  return layout(shell, {
    title: `History of ${tag} · ${owner.label}/${name}`,
    description: `Where the tag ${tag} of ${owner.label}/${name} pointed, as seen on the network`,
    isUnlisted: true,
    main: html`
      <header class="page-header">${repositoryHeading(view, html`<span class="tag">${tag}</span>`)}</header>
      ${
        digest === undefined || tagPath === undefined
          ? html`<section>
              ${notice('warm', 'This tag was deleted. What it pointed to before is kept here.')}
            </section>`
          : manifestTabs({ ...view, digest, path: tagPath }, 'history')
      }
      <section aria-labelledby="moves">
        <h2 id="moves">Where it pointed</h2>
        ${moves.length === 0 ? html`<p class="empty">No move of this tag was seen.</p>` : table(view)}
        ${pager(view)}
        <p class="note">
          Seen on the network’s event stream. Moves made while nobody listened may be missing.
        </p>
      </section>
    `,
  })
}

function table({ moves, now }: TagHistoryView): Html {
  return html`<table class="table">
    <thead>
      <tr>
        <th scope="col">When</th>
        <th scope="col">Points to</th>
        <th scope="col">What</th>
        <th scope="col">Commit</th>
        <th scope="col">Changes</th>
      </tr>
    </thead>
    <tbody>
      ${moves.map((move) => row(move, now))}
    </tbody>
  </table>`
}

function row({ diffPath, movedAt, rev, target }: TagMoveView, now: Date): Html {
  return html`<tr>
    <th scope="row">
      <span>${age(movedAt, now)}<span class="exact">${formatTime(movedAt)}</span></span>
    </th>
    <td data-label="Points to">
      ${
        target === undefined
          ? html`<span class="chip bad">deleted</span>`
          : html`<span>
              ${digestLink(target.digest, target.path)}
              ${target.path === undefined && html`<span class="quiet">no longer there</span>`}
            </span>`
      }
    </td>
    <td data-label="What">
      ${target?.manifest && html`<span>${platforms(target.manifest)} ${size(target.manifest.sizeBytes)}</span>`}
    </td>
    <td data-label="Commit"><code class="type">${rev}</code></td>
    <td data-label="Changes">
      ${diffPath === undefined ? html`<span class="quiet">–</span>` : html`<a href="${diffPath}">Compare</a>`}
    </td>
  </tr>`
}

function pager({ isContinued, olderPath, path }: TagHistoryView): Html | '' {
  if (!isContinued && olderPath === undefined) return ''
  return html`<nav class="pager" aria-label="Pages of moves">
    ${isContinued && html`<a href="${path}">← Newest</a>`}
    ${olderPath && html`<a href="${olderPath}" rel="next">Older →</a>`}
  </nav>`
}
