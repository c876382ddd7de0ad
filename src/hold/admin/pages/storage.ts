import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { age, fact, notice } from '../../../http/page-parts.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { GcProgress } from '../../services/garbage-collection.ts'
import type { Shell } from '../../web/layout.ts'
import { frame, type Account } from './frame.ts'

const refreshSeconds = 3

export interface StorageView {
  progress: GcProgress
  notice: { kind: 'good' | 'warm'; text: string } | undefined
  now: Date
}

/** What takes room and need not: preview, run, and how far it has come. */
export function storagePage(shell: Shell, account: Account, view: StorageView): Html {
  const { progress } = view
  const isRunning = progress.state === 'running'
  return frame(shell, account, {
    section: '/admin/storage',
    title: isRunning ? 'Collecting garbage…' : 'Storage',
    refreshSeconds: isRunning ? refreshSeconds : undefined,
    main: html`
      <div>
        <h1>Storage</h1>
        <p class="lead">
          Blobs that no image needs any more are deleted by garbage collection. It asks every owner’s server
          which images are still there; what belongs to an owner who cannot be reached stays.
        </p>
      </div>
      ${view.notice !== undefined && notice(view.notice.kind, view.notice.text)}
      <section class="panel stack" aria-labelledby="gc">
        <h2 id="gc">Garbage collection</h2>
        ${progressReport(view)} ${!isRunning && runForm(progress, account)}
      </section>
    `,
  })
}

function runForm(progress: GcProgress, account: Account): Html {
  const isPreviewed = progress.state === 'done' && progress.isDryRun
  return html`<form class="buttons" method="post" action="/admin/storage/collect">
    ${formTokenField(account.formToken)}
    <button class="button${isPreviewed ? '' : ' primary'}" name="mode" value="preview">
      Preview what would be deleted
    </button>
    <button class="button danger" name="mode" value="run">Delete what is not needed</button>
  </form>`
}

function progressReport({ now, progress }: StorageView): Html {
  const { error, state } = progress
  return html`<p role="status">${gcSummary(progress, now)}</p>
    ${
      state === 'running' &&
      html`${progressBar(progress)}
        <p class="note">
          This page looks again every ${refreshSeconds} seconds. It may be left; the run goes on.
        </p>`
    }
    ${state === 'failed' && error !== undefined && html`<p>${error}</p>`}
    ${state !== 'idle' && counts(progress)}`
}

/** How the last run ended, or where the present one is, in a line. */
export function gcSummary(progress: GcProgress, now: Date): Html {
  const { isDryRun, startedAt, state } = progress
  if (state === 'idle') return html`It has not run yet.`
  const begun = html`${isDryRun ? 'Preview' : 'Run'}, begun ${startedAt === undefined ? '' : age(new Date(startedAt), now)}.` // prettier-ignore
  if (state === 'running') return html`<span class="chip warm">running</span> ${begun}`
  if (state === 'failed') return html`<span class="chip bad">failed</span> ${begun}`
  return html`<span class="chip good">done</span> ${begun} ${outcome(progress)}`
}

function outcome(progress: GcProgress): Html {
  const { blobsDeletable, blobsDeleted, bytesDeletable, bytesDeleted, isDryRun } = progress
  const [count, bytes] = isDryRun ? [blobsDeletable, bytesDeletable] : [blobsDeleted, bytesDeleted]
  if (count === 0) return isDryRun ? html`Nothing would be deleted now.` : html`There was nothing to delete.`
  const what = html`<strong>${formatCount(count, 'blob')}, ${formatSize(bytes)},</strong>`
  return isDryRun ? html`${what} would be deleted now.` : html`${what} were deleted.`
}

function progressBar({ manifestsChecked, manifestsTotal, phase }: GcProgress): Html {
  if (phase !== 'marking' || manifestsTotal === 0)
    return html`<progress aria-label="Looking through the blobs"></progress>`
  return html`<progress
    max="${manifestsTotal}"
    value="${Math.min(manifestsChecked, manifestsTotal)}"
    aria-label="Asking for images"
  ></progress>`
}

function counts(progress: GcProgress): Html {
  const number = (count: number) => count.toLocaleString('en')
  const { manifestsChecked, manifestsTotal } = progress
  return html`<dl class="fact-list">
    ${fact('Images asked for', `${number(manifestsChecked)} of ${number(Math.max(manifestsChecked, manifestsTotal))}`)}
    ${fact('Owners not reached', number(progress.ownersUnreachable))}
    ${fact('Blobs examined', number(progress.blobsExamined))}
    ${fact('Not needed any more', `${number(progress.blobsDeletable)}, ${formatSize(progress.bytesDeletable)}`)}
    ${fact('Waiting', html`${number(progress.blobsWaiting)}, ${formatSize(progress.bytesWaiting)} <span class="note">not needed, but not for long enough</span>`)}
    ${!progress.isDryRun && fact('Deleted', `${number(progress.blobsDeleted)}, ${formatSize(progress.bytesDeleted)}`)}
  </dl>`
}
