import { html, type Html } from '../../../http/html.ts'
import { notice } from '../../../http/page-parts.ts'
import { formatCount } from '../../../lib/format.ts'
import type { DeletionView } from '../views/deletion.ts'
import { layout, type Shell } from './layout.ts'

/** How a deletion of somebody's data goes, and in the end what was deleted and what was not. */
export function deletionPage(shell: Shell, view: DeletionView): Html {
  const title = view.isUnderWay
    ? 'Deleting your data'
    : view.hasFailures
      ? 'Not all of your data was deleted'
      : 'Your data was deleted'
  return layout(shell, {
    title,
    isUnlisted: true,
    main: html`
      <header class="page-header">
        <h1>${title}</h1>
        <p class="lead">
          ${
            view.isUnderWay
              ? 'It goes on by itself; you need not stay. This page reloads itself, and can be read under its address for a week after the end.'
              : 'This page can be read for a week. It does not say whose data it was.'
          }
        </p>
      </header>
      ${
        view.hasFailures &&
        html`<section>
          ${notice('bad', html`To try again what is not done below, <a href="/settings/data">sign in and delete once more</a>.`)}
        </section>`
      }
      ${
        view.hasTokensLeft &&
        html`<section>
          ${notice('warm', 'Somebody signed in to the account again meanwhile. That sign-in and its access stay.')}
        </section>`
      }
      <section aria-labelledby="steps">
        <h2 id="steps">Step by step</h2>
        <ul class="entries">
          ${step('This registry', 'done', 'Sign-ins, devices, tokens of clients, webhooks, uploads and counters are deleted.')}
          ${view.holds.map(({ host, state, text }) => step(host, state, text))}
          ${view.records && step('Your data repo', view.records.state, recordsText(view.records))}
          ${view.index && step('The index', view.index, view.index === 'done' ? 'Forgotten.' : 'Comes last.')}
          ${step(
            'Access to your data server',
            view.isUnderWay ? 'waiting' : view.hasTokensLeft ? 'failed' : 'done',
            view.isUnderWay
              ? 'Needed until the rest is done, and then given back.'
              : view.hasTokensLeft
                ? 'Stays, with the new sign-in.'
                : 'Given back.',
          )}
        </ul>
      </section>
    `,
  })
}

const chips = {
  done: html`<span class="chip good">done</span>`,
  waiting: html`<span class="chip">under way</span>`,
  failed: html`<span class="chip warm">not done</span>`,
}

function step(name: string, state: keyof typeof chips, text: string): Html {
  return html`<li class="entry">
    <h3>${name} ${chips[state]}</h3>
    <p class="facts">${text}</p>
  </li>`
}

function recordsText({ count, reason, state }: NonNullable<DeletionView['records']>): string {
  const deleted = `${formatCount(count, 'record')} deleted.`
  if (state === 'done') return deleted
  return reason === undefined ? deleted : `${deleted} ${reason}.`
}
