import { html, type Html } from '../../../http/html.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { OwnerHeader, OwnerRepositories } from '../views/owner-page.ts'
import type { StarListView } from '../views/stars.ts'
import { feedLinks } from './feed-links.ts'
import { healthDot } from './health.ts'
import { layout, type Shell } from './layout.ts'
import { avatar, copyButton, pager, repositoryList, tabs } from './parts.ts'
import { richText } from './rich-text.ts'
import { starList } from './stars.ts'

/** What is listed below the header. */
export type OwnerList =
  | { tab: 'repositories'; repositories: OwnerRepositories }
  | { tab: 'stars'; stars: StarListView }

/** So few are seen at a glance. */
const unfilteredCountMax = 8

/** An account: who it is, what it keeps here, what it starred. */
export function ownerPage(shell: Shell, view: OwnerHeader, list: OwnerList): Html {
  const { owner } = view
  const name = view.displayName ?? owner.label
  const isStars = list.tab === 'stars'
  const places = [
    { path: owner.path, text: 'Repositories', count: view.repositoryCount },
    { path: `${owner.path}/stars`, text: 'Stars', count: view.starCount },
  ]
  return layout(shell, {
    title: `${isStars ? 'Stars of ' : ''}${name}${name === owner.label ? '' : ` (${owner.label})`}`,
    description: `Container images of ${owner.label}`,
    card: `${owner.path}/card.png`,
    feeds: feedLinks(owner.path, owner.label),
    main: html`
      ${header(view, name)}
      <section aria-labelledby="listed">
        ${tabs(`What ${owner.label} has here`, places, isStars ? `${owner.path}/stars` : owner.path)}
        <h2 class="visually-hidden" id="listed">${isStars ? 'Stars' : 'Repositories'}</h2>
        <div class="below-tabs">
          ${isStars ? stars(list.stars, view) : repositories(list.repositories, view)}
        </div>
      </section>
      ${view.holds.length > 0 && holds(view)}
    `,
  })
}

function header(view: OwnerHeader, name: string): Html {
  const { owner } = view
  return html`<header class="page-header profile">
    ${avatar({ label: name, picturePath: view.picturePath }, 'large')}
    <div class="profile-names">
      <h1 dir="auto">${name}</h1>
      <p class="facts">
        ${owner.label !== owner.did && html`<span class="did">${owner.label}${copyButton(owner.label, 'Copy the handle')}</span>`}
        <span class="did"><code>${owner.did}</code>${copyButton(owner.did, 'Copy the DID')}</span>
      </p>
    </div>
    ${view.bio.length > 0 && html`<p class="bio" dir="auto">${richText(view.bio)}</p>`}
    ${
      view.repositoryCount > 0 &&
      html`<ul class="facts">
        <li title="Every layer counted once">${formatSize(view.sizeBytes)} in all</li>
        <li>${formatCount(view.pullCount, 'pull')}</li>
      </ul>`
    }
  </header>`
}

function repositories(list: OwnerRepositories, view: OwnerHeader): Html {
  const { filter, count, page } = list
  const isFiltered = filter.text !== ''
  const isLong = view.repositoryCount > unfilteredCountMax || isFiltered || filter.order !== 'updated'
  if (view.repositoryCount === 0) {
    return view.isOwn
      ? html`<p class="empty">Nothing here yet. <a href="/install">Push your first image</a>.</p>`
      : html`<p class="empty">No public repositories.</p>`
  }
  const query = (number: number) =>
    new URLSearchParams({
      ...(isFiltered && { q: filter.text }),
      ...(filter.order !== 'updated' && { sort: filter.order }),
      page: String(number),
    }).toString()
  return html`${isLong && filterForm(list, view.owner.path)}
  ${
    count === 0
      ? html`<p class="empty">
          No repository has “${filter.text}” in its name. <a href="${view.owner.path}">Show all</a>
        </p>`
      : html`<h2 class="visually-hidden">Repositories</h2>
          ${repositoryList(list.repositories, { now: view.now, isOwnerShown: false })}`
  }
  ${pager(page, { label: 'Pages of repositories', href: (number) => `${view.owner.path}?${query(number)}` })}`
}

const orderTexts = {
  updated: 'last pushed',
  name: 'name',
  stars: 'most stars',
  pulls: 'most pulls',
} as const

function filterForm({ filter }: OwnerRepositories, path: string): Html {
  const option = ([value, text]: [string, string]) =>
    value === filter.order
      ? html`<option value="${value}" selected>${text}</option>`
      : html`<option value="${value}">${text}</option>`
  return html`<form class="filter" method="get" action="${path}">
    <label class="visually-hidden" for="filter">Find a repository</label>
    <input
      class="input"
      type="search"
      id="filter"
      name="q"
      value="${filter.text}"
      maxlength="100"
      placeholder="Find a repository"
      autocapitalize="none"
      spellcheck="false"
    />
    <label class="visually-hidden" for="sort">Order</label>
    <select class="input" id="sort" name="sort">
      ${Object.entries(orderTexts).map(option)}
    </select>
    <button class="button">Show</button>
  </form>`
}

function stars(list: StarListView, { isOwn, owner }: OwnerHeader): Html {
  if (list.count > 0) return starList(list, `${owner.path}/stars`)
  return html`<p class="empty">
    ${isOwn ? 'No stars yet. Open a repository and press Star to find it here.' : 'No stars yet.'}
  </p>`
}

function holds({ holds, owner }: OwnerHeader): Html {
  return html`<section aria-labelledby="holds">
    <h2 id="holds">Holds of ${owner.label}</h2>
    <ul class="entries">
      ${holds.map(
        ({ health, hold }) =>
          html`<li>
            <h3><a href="${hold.path}">${hold.host}</a></h3>
            <p class="facts">
              <span>${hold.captain?.isPublic === true ? 'public' : 'for crew only'}</span>
              ${hold.region !== undefined && html`<span dir="auto">${hold.region}</span>`}
              ${healthDot(health)}
            </p>
          </li>`,
      )}
    </ul>
  </section>`
}
