import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { formatCount } from '../../../lib/format.ts'
import type { StarListView, StarView, UnseenStar } from '../views/stars.ts'
import { layout, type Shell, type SignedInAccount } from './layout.ts'
import { pager, repositoryList } from './parts.ts'

const starIcon = html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
  <path d="m8 1.8 1.9 3.9 4.3.6-3.1 3 .7 4.3L8 11.6l-3.8 2 .7-4.3-3.1-3 4.3-.6Z" />
</svg>`

/** Gives a star or takes it back, and says how many there are. `path` is the page it is on. Who is not signed in is asked to. */
export function starButton({ account }: Pick<Shell, 'account'>, star: StarView, path: string): Html {
  const { count, isGiven } = star
  const number = html`<span class="count">${count.toLocaleString('en')}</span>`
  const stars = formatCount(count, 'star')
  if (account === undefined || account === null) {
    const login = `/auth/oauth/login?${new URLSearchParams({ next: path }).toString()}`
    return html`<a class="button small star" href="${login}" aria-label="Star, ${stars}. Sign in first"
      >${starIcon} Star ${number}</a
    >`
  }
  return html`<form class="star-form" method="post" action="${isGiven ? '/stars/delete' : '/stars/put'}">
    ${formTokenField(account.formToken)} ${starFields(star)}
    <input type="hidden" name="next" value="${path}" />
    ${
      isGiven
        ? html`<button class="button small star given" aria-label="Starred, ${stars}. Take the star back">
            ${starIcon} Starred ${number}
          </button>`
        : html`<button class="button small star" aria-label="Star, ${stars}">
            ${starIcon} Star ${number}
          </button>`
    }
  </form>`
}

const starFields = ({ name, ownerDid }: Pick<StarView, 'name' | 'ownerDid'>): Html =>
  html`<input type="hidden" name="owner" value="${ownerDid}" />
    <input type="hidden" name="repository" value="${name}" />`

/** One's own stars. */
export function starsPage(
  shell: Shell & { account: SignedInAccount },
  view: StarListView & { unseen: readonly UnseenStar[] },
): Html {
  return layout(shell, {
    title: 'Your stars',
    isUnlisted: true,
    main: html`
      <header class="page-header">
        <h1>Your stars</h1>
        <p class="lead">
          Each is a record in your own data repo, for everyone to read. It stays yours wherever you look at
          it.
        </p>
      </header>
      <section aria-labelledby="starred">
        <h2 class="visually-hidden" id="starred">Starred repositories</h2>
        ${
          view.count === 0
            ? html`<p class="empty">
                No stars yet. Open a repository and press <strong>Star</strong> to find it here.
              </p>`
            : starList(view, '/stars')
        }
      </section>
      ${view.unseen.length > 0 && unseenSection(view.unseen, shell.account.formToken)}
    `,
  })
}

/** A page of starred repositories, `path` being where it is. */
export function starList(view: StarListView, path: string): Html {
  return html`<h2 class="visually-hidden">Repositories with a star</h2>
    ${repositoryList(view.repositories, { now: view.now, isOwnerShown: true })}
    ${pager(view.page, { label: 'Pages of stars', href: (number) => `${path}?page=${number}` })}`
}

function unseenSection(unseen: readonly UnseenStar[], formToken: string): Html {
  return html`<section aria-labelledby="unseen">
    <h2 id="unseen">Out of sight</h2>
    <p class="note">
      These were deleted, moved to a hold where you may not read, or their owner is away. Your stars on them
      are still in your data repo.
    </p>
    <ul class="entries">
      ${unseen.map(
        (star) =>
          html`<li class="entry">
            <h3>${star.owner.label}<span class="slash">/</span>${star.name}</h3>
            <form class="buttons" method="post" action="/stars/delete">
              ${formTokenField(formToken)} ${starFields(star)}
              <input type="hidden" name="next" value="/stars" />
              <button class="button small" aria-label="Take the star on ${star.name} back">
                Take it back
              </button>
            </form>
          </li>`,
      )}
    </ul>
  </section>`
}
