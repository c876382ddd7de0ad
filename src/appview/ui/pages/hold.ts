import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { fact, notice } from '../../../http/page-parts.ts'
import { formatCount } from '../../../lib/format.ts'
import type { HoldPageView } from '../views/hold-page.ts'
import { healthDot } from './health.ts'
import { layout, type Shell } from './layout.ts'
import { breakable, copyButton, repositoryList } from './parts.ts'

/** A hold: who runs it, who may do what there, what rests there. */
export function holdPage(shell: Shell, view: HoldPageView & { done: string | undefined }): Html {
  const { hold } = view
  return layout(shell, {
    title: `Hold ${hold.host}`,
    description: `A hold of ${view.captain.label}: it keeps layers of container images.`,
    main: html`
      <header class="page-header">
        <h1><span class="quiet-name">Hold</span> ${breakable(hold.host)}</h1>
        <p class="lead">
          A hold keeps the layers of container images. This one is run by
          <a href="${view.captain.path}">${view.captain.label}</a>.
        </p>
      </header>
      ${view.done !== undefined && html`<section>${notice('good', view.done)}</section>`}
      ${view.successor !== undefined && html`<section>${notice('warm', html`It was succeeded by <a href="${view.successor.path}">${view.successor.host}</a>: pushes go there, and what rested here is found there.`)}</section>`}
      <div class="split hold-page">
        ${repositories(view)}
        <div class="stack fill">
          <section class="panel" aria-label="About this hold">${facts(view)}</section>
          ${joining(shell, view)}
        </div>
      </div>
    `,
  })
}

function facts(view: HoldPageView): Html {
  const { hold, url } = view
  const { allowAllCrew, isPublic } = hold.captain
  return html`<dl class="fact-list">
    ${fact('Now', healthDot(view.health))} ${fact('Pulling', isPublic ? 'open to everyone' : 'for crew only')}
    ${fact('Pushing', allowAllCrew ? 'for crew; who asks is taken in' : 'for crew, whom the captain invites')}
    ${hold.region !== undefined && fact('Region', html`<span dir="auto">${hold.region}</span>`)}
    ${fact('Captain', html`<a href="${view.captain.path}">${view.captain.label}</a>`)}
    ${fact('Crew', formatCount(view.crewCount, 'member'))}
    ${fact('Counted', html`${formatCount(view.pullCount, 'pull')}, ${view.pushCount.toLocaleString('en')} ${view.pushCount === 1 ? 'push' : 'pushes'}`)}
    ${fact('DID', html`<span class="did"><code>${breakable(hold.did)}</code>${copyButton(hold.did, 'Copy the DID')}</span>`)}
    ${url !== undefined && fact('Its own page', html`<a href="${url}" rel="nofollow noopener">${new URL(url).host}</a>`)}
  </dl>`
}

/** What who looks may do here, and how that can change. */
function joining(shell: Shell, { hold, standing, successor }: HoldPageView): Html {
  const section = (text: Html) =>
    html`<section class="panel stack" aria-labelledby="you">
      <h2 id="you">You and this hold</h2>
      ${text}
    </section>`
  const use = html`<p><a href="/settings/storage">Choose where your pushes go</a></p>`
  switch (standing) {
    case 'captain':
      return section(
        html`<p>You are its captain: you may do everything here, without a quota.</p>
          ${use}`,
      )
    case 'writer':
      return section(
        html`<p>You are crew: what you push may rest here, and counts against your quota.</p>
          ${use}`,
      )
    case 'reader':
      return section(html`<p>You are crew and may pull what is private here. To push, ask its captain.</p>`)
    case 'nobody':
    case 'stranger':
      break
  }
  if (successor !== undefined || !hold.captain.allowAllCrew) {
    return section(
      html`<p>
        You are not of its crew. ${successor === undefined && 'Its captain invites those who may push here.'}
      </p>`,
    )
  }
  const meaning = html`<p>
    As crew you may let the layers of your images rest here. What you keep counts against the quota that the
    hold gives you, your DID stands in its public list of crew, and its captain can end it.
  </p>`
  const { account } = shell
  if (standing === 'nobody' || account === undefined || account === null) {
    const login = `/auth/oauth/login?${new URLSearchParams({ next: hold.path }).toString()}`
    return section(
      html`${meaning}
        <p><a class="button" href="${login}">Sign in to join</a></p>`,
    )
  }
  return section(
    html`${meaning}
      <form method="post" action="/holds/join">
        ${formTokenField(account.formToken)}
        <input type="hidden" name="hold" value="${hold.did}" />
        <button class="button primary">Join the crew</button>
      </form>`,
  )
}

function repositories(view: HoldPageView): Html {
  const isHidden = !view.hold.captain.isPublic && ['nobody', 'stranger'].includes(view.standing)
  const empty = isHidden
    ? 'What rests in a private hold is for its crew to see.'
    : 'Nothing rests here yet, as far as this registry knows.'
  return html`<section aria-labelledby="resting">
    <h2 id="resting">Resting here</h2>
    ${
      view.repositories.length === 0
        ? html`<p class="empty">${empty}</p>`
        : repositoryList(view.repositories, { now: view.now, isOwnerShown: true })
    }
    ${view.hasMore && html`<p class="note">These changed last; there are more.</p>`}
  </section>`
}
