import { html, type Html } from '../../http/html.ts'
import { fact } from '../../http/page-parts.ts'
import type { CaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import { layout, type Shell } from './layout.ts'

/** What the page shows. */
export interface HomeView {
  did: string
  captain: CaptainRecord
  isAdminEnabled: boolean
}

/** The front page of a hold. */
export function homePage(shell: Shell, { did, captain, isAdminEnabled }: HomeView): Html {
  return layout(shell, {
    title: 'Hold',
    main: html`
      <div>
        <h1>${shell.host}</h1>
        <p class="lead">This is a hold: it keeps the layers of container images for an ATCR registry.</p>
      </div>
      <section class="panel narrow" aria-label="About this hold">
        <dl class="fact-list">
          ${fact('DID', html`<code>${did}</code>`)} ${fact('Captain', html`<code>${captain.ownerDid}</code>`)}
          ${fact('Reading', captain.isPublic ? 'open to everyone' : 'for crew only')}
          ${fact('Writing', captain.allowAllCrew ? 'crew; anyone who asks may join' : 'crew, by invitation')}
          ${captain.region !== undefined && fact('Region', captain.region)}
          ${captain.successorDid !== undefined && fact('Successor', html`<code>${captain.successorDid}</code>`)}
        </dl>
      </section>
      ${isAdminEnabled && html`<p><a href="/admin">Captain and crew admins: manage this hold</a></p>`}
    `,
  })
}
