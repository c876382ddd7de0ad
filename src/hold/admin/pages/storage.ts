import { formTokenField } from '../../../http/forms.ts'
import { html, type Html } from '../../../http/html.ts'
import { formatSize } from '../../../lib/format-size.ts'
import { formatCount } from '../../../lib/format.ts'
import type { GcProgress } from '../../services/garbage-collection.ts'
import { fact } from '../../web/home-page.ts'
import type { Shell } from '../../web/layout.ts'
import { frame, notice, type Account } from './frame.ts'
import { age } from './parts.ts'

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
  const started = progress.startedAt === undefined ? '' : age(new Date(progress.startedAt), now)
  const kind = progress.isDryRun ? 'Preview' : 'Run'
  switch (progress.state) {
    case 'idle':
      return html`<p>It has not run yet.</p>`
    case 'running':
      return html`<p role="status">
          <span class="chip warm">running</span> ${kind}, begun ${started}. This page looks again every
          ${refreshSeconds} seconds; it may be left.
        </p>
        ${progressBar(progress)} ${counts(progress)}`
    case 'failed':
      return html`<p><span class="chip bad">failed</span> ${kind}, begun ${started}.</p>
        ${progress.error !== undefined && html`<p>${progress.error}</p>`} ${counts(progress)}`
    case 'done':
      return html`<p><span class="chip good">done</span> ${kind}, begun ${started}.</p>
        <p>${outcome(progress)}</p>
        ${counts(progress)}`
  }
}

function outcome(progress: GcProgress): Html {
  const { blobsDeletable, blobsDeleted, bytesDeletable, bytesDeleted, isDryRun } = progress
  if (isDryRun)
    return html`<strong>${formatCount(blobsDeletable, 'blob')}, ${formatSize(bytesDeletable)},</strong> would be deleted now.` // prettier-ignore
  return html`<strong>${formatCount(blobsDeleted, 'blob')}, ${formatSize(bytesDeleted)},</strong> were
    deleted.`
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
  return html`<dl class="facts">
    ${fact('Images asked for', `${number(manifestsChecked)} of ${number(Math.max(manifestsChecked, manifestsTotal))}`)}
    ${fact('Owners not reached', number(progress.ownersUnreachable))}
    ${fact('Blobs examined', number(progress.blobsExamined))}
    ${fact('Not needed any more', `${number(progress.blobsDeletable)}, ${formatSize(progress.bytesDeletable)}`)}
    ${fact('Waiting', html`${number(progress.blobsWaiting)}, ${formatSize(progress.bytesWaiting)} <span class="note">not needed, but not for long enough</span>`)}
    ${!progress.isDryRun && fact('Deleted', `${number(progress.blobsDeleted)}, ${formatSize(progress.bytesDeleted)}`)}
  </dl>`
}
