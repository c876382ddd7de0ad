import { html, type Html } from '../../../http/html.ts'
import type { OwnerPageView } from '../views/owner-page.ts'
import { feedLinks } from './feed-links.ts'
import { layout, type Shell } from './layout.ts'
import { repositoryList } from './parts.ts'

export function ownerPage(shell: Shell, view: OwnerPageView): Html {
  const { owner, repositories, hasMore, now } = view
  return layout(shell, {
    title: owner.label,
    description: `Container images of ${owner.label}`,
    card: `${owner.path}/card.png`,
    feeds: feedLinks(owner.path, owner.label),
    main: html`
      <header class="page-header">
        <h1>${owner.label}</h1>
        ${owner.label !== owner.did && html`<p class="facts"><code>${owner.did}</code></p>`}
      </header>
      <section aria-labelledby="repositories">
        <h2 id="repositories">Repositories</h2>
        ${
          repositories.length === 0
            ? html`<p class="empty">No public repositories.</p>`
            : repositoryList(repositories, { now, isOwnerShown: false })
        }
        ${hasMore && html`<p class="note">These are the ones that changed last; there are more.</p>`}
      </section>
    `,
  })
}
