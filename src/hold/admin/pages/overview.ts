import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { age, fact, notice } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import type { Shell } from '../../web/layout.ts'
import type { GcProgress } from '../../services/garbage-collection.ts'
import type { StorageHealth } from '../../services/storage-health.ts'
import { usage, type UsageView } from './crew.ts'
import { frame, type Account } from './frame.ts'
import { person } from './parts.ts'
import { gcSummary } from './storage.ts'
import type { PersonView } from '../views/people.ts'

/** A relay, and what came of the last request that it crawl this hold. */
export interface RelayView {
  host: string
  outcome: 'accepted' | 'failed' | undefined
  requestedAt: Date | undefined
  message: string | undefined
}

export interface OverviewView {
  did: string
  version: string
  publicUrl: string
  captain: PersonView
  isPublic: boolean
  allowAllCrew: boolean
  successorDid: string | undefined
  totals: { users: number; blobs: number; sizeBytes: number }
  topUsers: readonly (PersonView & { usage: UsageView })[]
  health: StorageHealth
  relays: readonly RelayView[]
  gc: GcProgress
  notice: string | undefined
  now: Date
}

/** The hold at a glance. */
export function overviewPage(shell: Shell, account: Account, view: OverviewView): Html {
  const { totals } = view
  return frame(shell, account, {
    section: '/admin',
    title: 'Overview',
    main: html`
      <h1>Overview</h1>
      ${view.notice !== undefined && notice('good', view.notice)}
      ${view.successorDid !== undefined && notice('warm', html`This hold has a successor, <code>${view.successorDid}</code>. New images go there. <a href="/admin/settings">Change</a>`)}
      ${view.health.state === 'failed' && notice('bad', `Storage does not work: ${view.health.message}`)}
      <dl class="figures">
        ${figure('Stored', formatSize(totals.sizeBytes))}
        ${figure('Blobs', totals.blobs.toLocaleString('en'))}
        ${figure('People with something here', totals.users.toLocaleString('en'))}
        ${figure('Storage', healthFigure(view.health))}
      </dl>
      <div class="grid">
        <section class="panel" aria-labelledby="hold">
          <h2 id="hold">This hold</h2>
          <dl class="fact-list">
            ${fact('DID', html`<code>${view.did}</code>`)} ${fact('Address', view.publicUrl)}
            ${fact('Captain', person(view.captain))}
            ${fact('Reading', view.isPublic ? 'open to everyone' : 'for crew only')}
            ${fact('Joining', view.allowAllCrew ? 'anyone who asks' : 'by invitation')}
            ${fact('Storage', healthLine(view.health))} ${fact('Version', view.version)}
          </dl>
        </section>
        <div class="stack fill">${gcSection(view)} ${relaySection(view, account)}</div>
      </div>
      ${topUsersSection(view)} ${sessionsSection(account)}
    `,
  })
}

function figure(name: string, value: string): Html {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value}</dd>
  </div>`
}

function healthFigure(health: StorageHealth): string {
  if (health.state === 'failed') return 'failing'
  return health.freeBytes === undefined ? 'reachable' : `${formatSize(health.freeBytes)} free`
}

function healthLine(health: StorageHealth): Html {
  const where =
    health.driver === 's3'
      ? html`bucket <code>${health.place}</code>`
      : html`disk, <code>${health.place}</code>`
  const state =
    health.state === 'failed'
      ? html`<span class="chip bad">${health.message}</span>`
      : html`<span class="chip good">works, ${health.durationMs} ms</span>`
  const free =
    health.state === 'works' && health.freeBytes !== undefined && health.capacityBytes !== undefined
      ? html`<br />${formatSize(health.freeBytes)} free of ${formatSize(health.capacityBytes)}`
      : ''
  return html`${where} ${state}${free}`
}

function gcSection({ gc, now }: OverviewView): Html {
  return html`<section class="panel" aria-labelledby="gc">
    <h2 id="gc">Garbage collection</h2>
    <div class="stack">
      <p>${gcSummary(gc, now)}</p>
      <a class="button" href="/admin/storage">Preview or run it</a>
    </div>
  </section>`
}

function relaySection({ now, relays }: OverviewView, account: Account): Html {
  return html`<section class="panel" aria-labelledby="relays">
    <h2 id="relays">Relays</h2>
    ${
      relays.length === 0
        ? html`<p>No relays are set, so nobody is told of this hold’s records.</p>`
        : html`<div class="stack">
            <dl class="fact-list">${relays.map((relay) => fact(relay.host, relayLine(relay, now)))}</dl>
            <form method="post" action="/admin/crawl">
              ${formTokenField(account.formToken)}
              <button class="button">Ask them to crawl this hold</button>
            </form>
          </div>`
    }
  </section>`
}

function relayLine({ message, outcome, requestedAt }: RelayView, now: Date): Html {
  const when = requestedAt === undefined ? '' : age(requestedAt, now)
  if (outcome === 'accepted') return html`<span class="chip good">accepted</span> ${when}`
  if (outcome === 'failed') return html`<span class="chip bad">failed</span> ${when} ${message !== undefined && html`<br />${message}`}` // prettier-ignore
  return html`<span class="chip">not asked yet</span>`
}

function topUsersSection({ topUsers }: OverviewView): Html {
  return html`<section aria-labelledby="top">
    <h2 id="top">Who keeps most</h2>
    ${
      topUsers.length === 0
        ? html`<p class="empty">Nothing has been pushed here yet.</p>`
        : html`<table class="table">
            <thead>
              <tr>
                <th scope="col">Who</th>
                <th scope="col" class="number">Blobs</th>
                <th scope="col" class="number">Keeps</th>
              </tr>
            </thead>
            <tbody>
              ${topUsers.map(
                (user) =>
                  html`<tr>
                    <th scope="row">${person(user)}</th>
                    <td data-label="Blobs" class="number">${user.usage.blobCount.toLocaleString('en')}</td>
                    <td data-label="Keeps" class="number">${usage(user.usage, user.handle ?? user.did)}</td>
                  </tr>`,
              )}
            </tbody>
          </table>`
    }
  </section>`
}

function sessionsSection(account: Account): Html {
  return html`<section class="panel" aria-labelledby="sessions">
    <h2 id="sessions">Your sessions</h2>
    <form class="stack" method="post" action="/admin/logout">
      ${formTokenField(account.formToken)} <input type="hidden" name="everywhere" value="on" />
      <p>Left a browser signed in somewhere? This ends all your sessions in this panel, this one too.</p>
      <button class="button">Sign out everywhere</button>
    </form>
  </section>`
}
