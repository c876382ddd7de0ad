import { html, type Html } from '../../../http/html.ts'
import { notice } from '../../../http/page-parts.ts'
import { formatCount, formatNumber } from '../../../lib/format.ts'
import type { FacetView } from '../views/search-facets.ts'
import type { PersonView, SearchView } from '../views/search.ts'
import { layout, type Shell } from './layout.ts'
import { avatar, pager, repositoryList } from './parts.ts'

export function searchPage(shell: Shell, view: SearchView): Html {
  return layout(shell, {
    title: view.text === '' ? 'Search' : `${view.text} · Search`,
    searched: view.text,
    isUnlisted: true,
    main: html`
      <header class="page-header">
        <h1>${view.isEmpty ? 'Search' : 'Search results'}</h1>
        ${summary(view)}
      </header>
      ${view.isBehind && notice('warm', 'The index is being made: more will be found in a while.')}
      ${view.people.length > 0 && people(view.people)} ${results(view)}
    `,
  })
}

function summary(view: SearchView): Html {
  if (view.isEmpty) {
    return html`<p class="lead">
      Type the name of an image or of a person, or paste a whole image name: a command like
      <code>docker pull</code> leads to its page. <code>owner:alice</code> searches what alice has.
    </p>`
  }
  const { corrected, count, isCut, people, text } = view
  if (corrected !== undefined) {
    return html`<p class="lead" role="status">
      Nothing is called <q>${text}</q>. Did you mean <a href="${corrected.path}">${corrected.text}</a>? Here
      is what there is.
    </p>`
  }
  if (count === 0 && people.length > 0)
    return html`<p class="quiet" role="status">No images by this name.</p>`
  if (view.isPartial) {
    return html`<p class="lead" role="status">
      Nothing has all words of <q>${text}</q>; these have some of them.
    </p>`
  }
  if (count === 0) return nothing(text)
  const number = isCut ? `More than ${formatNumber(count)} images` : formatCount(count, 'image')
  return html`<p class="quiet" role="status">
    ${number}${text !== '' && html` for <q>${text}</q>`}${isCut && '; these are the best known ones'}
  </p>`
}

function nothing(text: string): Html {
  return html`<div class="stack" role="status">
    <p class="lead">Nothing was found${text !== '' && html` for <q>${text}</q>`}.</p>
    <ul class="hints">
      <li>Try fewer words, or the beginning of one: <q>ngin</q> finds nginx.</li>
      <li>A person is found by handle or display name, what they push by name and description.</li>
      <li>Images in private holds are not searched. Their owners find them on their own page.</li>
      <li>Somebody who has not pushed to a hold that this registry knows is not known here yet.</li>
    </ul>
    <p><a class="button small" href="/">See recent pushes</a></p>
  </div>`
}

function people(found: readonly PersonView[]): Html {
  return html`<section aria-labelledby="people">
    <h2 id="people">People</h2>
    <ul class="people">
      ${found.map(
        ({ displayName, owner, picturePath }) =>
          html`<li>
            ${avatar({ label: owner.label, picturePath })}
            <span>
              <a href="${owner.path}" data-entry>${owner.label}</a>
              ${displayName && html`<span class="quiet" dir="auto">${displayName}</span>`}
            </span>
          </li>`,
      )}
    </ul>
  </section>`
}

function results(view: SearchView): Html | '' {
  if (view.repositories.length === 0) return ''
  const list = html`${repositoryList(view.repositories, { now: view.now, isOwnerShown: true })}
  ${pager(view.page, { label: 'Pages of results', href: view.pagePath })}`
  if (view.facets.length === 0) {
    return html`<section aria-labelledby="images">
      <h2 id="images">${view.isEmpty ? 'Well known' : 'Images'}</h2>
      ${list}
    </section>`
  }
  return html`<div class="split narrowed">
    <section aria-labelledby="images">
      <h2 id="images">Images</h2>
      ${list}
    </section>
    <nav class="facets" aria-label="Narrow the results down">${view.facets.map(facet)}</nav>
  </div>`
}

function facet({ name, options }: FacetView): Html {
  return html`<section>
    <h2>${name}</h2>
    <ul>
      ${options.map(
        ({ count, isChosen, label, path }) =>
          html`<li>
            ${
              isChosen
                ? html`<a href="${path}" rel="nofollow" aria-current="true"
                    >${label}<span class="visually-hidden">: chosen, show all again</span></a
                  >`
                : html`<a href="${path}" rel="nofollow">${label}</a>`
            }
            <span class="count">${formatNumber(count)}</span>
          </li>`,
      )}
    </ul>
  </section>`
}
