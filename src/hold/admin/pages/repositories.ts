import { html, type Html } from '../../../http/html.ts'
import { age } from '../../../http/page-parts.ts'
import type { Shell } from '../../web/layout.ts'
import type { PersonView } from '../views/people.ts'
import { frame, type Account } from './frame.ts'
import { person } from './parts.ts'

export interface RepositoryView {
  owner: PersonView
  name: string
  pullCount: number
  pushCount: number
  lastPullAt: Date | undefined
  lastPushAt: Date | undefined
}

export interface RepositoriesView {
  order: 'pulls' | 'pushes'
  repositories: readonly RepositoryView[]
  now: Date
}

/** What is used most. */
export function repositoriesPage(shell: Shell, account: Account, view: RepositoriesView): Html {
  const { order, repositories } = view
  return frame(shell, account, {
    section: '/admin/repositories',
    title: 'Repositories',
    main: html`
      <div class="head">
        <div>
          <h1>Repositories</h1>
          <p class="lead">
            The most used ones, by how often they were ${order === 'pulls' ? 'pulled' : 'pushed'}.
          </p>
        </div>
        <p class="buttons">
          ${
            order === 'pulls'
              ? html`<a class="button" href="/admin/repositories?by=pushes">Order by pushes</a>`
              : html`<a class="button" href="/admin/repositories">Order by pulls</a>`
          }
        </p>
      </div>
      ${
        repositories.length === 0
          ? html`<p class="empty">Nothing has been pushed or pulled here yet.</p>`
          : html`<table class="table">
              <thead>
                <tr>
                  <th scope="col">Repository</th>
                  <th scope="col">Owner</th>
                  <th scope="col" class="number">Pulls</th>
                  <th scope="col">Last pull</th>
                  <th scope="col" class="number">Pushes</th>
                  <th scope="col">Last push</th>
                </tr>
              </thead>
              <tbody>
                ${repositories.map((repository) => repositoryRow(repository, view.now))}
              </tbody>
            </table>`
      }
    `,
  })
}

function repositoryRow(it: RepositoryView, now: Date): Html {
  return html`<tr>
    <th scope="row">${it.name}</th>
    <td data-label="Owner">${person(it.owner)}</td>
    <td data-label="Pulls" class="number">${it.pullCount.toLocaleString('en')}</td>
    <td data-label="Last pull">${it.lastPullAt === undefined ? '–' : age(it.lastPullAt, now)}</td>
    <td data-label="Pushes" class="number">${it.pushCount.toLocaleString('en')}</td>
    <td data-label="Last push">${it.lastPushAt === undefined ? '–' : age(it.lastPushAt, now)}</td>
  </tr>`
}
