import type { HoldContext } from '../context.ts'
import { countUnsettledBlobs } from '../db/blobs.ts'
import { countUploadsByMode } from '../db/uploads.ts'
import * as metrics from '../metrics.ts'

type Needs = Pick<HoldContext, 'database' | 'gc' | 'outbox' | 'quotas' | 'repo' | 'storageHealth'>

/** Adding up all blobs reads a row for each. */
const totalsBelievedMs = 60_000

/** Has metrics read what this hold knows, until it is disposed. */
export function watchHold({ database, gc, outbox, quotas, repo, storageHealth }: Needs): Disposable {
  const totals = kept(totalsBelievedMs, () => quotas.totals())
  using watched = new DisposableStack()
  watched.use(
    metrics.uploadsOpen.watch(async () =>
      (await countUploadsByMode(database)).map(({ mode, count }) => ({ labels: { mode }, value: count })),
    ),
  )
  watched.use(metrics.blobCount.watch(async () => [{ value: (await totals()).blobs }]))
  watched.use(metrics.blobBytes.watch(async () => [{ value: (await totals()).sizeBytes }]))
  watched.use(metrics.blobsUnsettled.watch(async () => [{ value: await countUnsettledBlobs(database) }]))
  watched.use(
    metrics.storageFreeBytes.watch(async () => {
      const health = await storageHealth.check()
      return health.state === 'works' && health.freeBytes !== undefined ? [{ value: health.freeBytes }] : []
    }),
  )
  watched.use(metrics.repoSequence.watch(() => [{ value: repo.sequencer.newestSeq }]))
  watched.use(metrics.firehoseSubscribers.watch(() => [{ value: outbox.subscriberCount }]))
  watched.use(metrics.firehoseLag.watch(() => [{ value: outbox.lagEvents }]))
  watched.use(
    metrics.gcLastDone.watch(async () => {
      const { finishedAt, isDryRun, state } = await gc.progress()
      if (finishedAt === undefined || isDryRun || state !== 'done') return []
      return [{ value: Date.parse(finishedAt) / 1000 }]
    }),
  )
  return watched.move()
}

/** What `read` gave, for a while. */
function kept<T>(believedMs: number, read: () => Promise<T>): () => Promise<T> {
  let known: { value: Promise<T>; atMs: number } | undefined
  return () => {
    if (known === undefined || performance.now() - known.atMs > believedMs) {
      known = { value: read(), atMs: performance.now() }
      known.value.catch(() => (known = undefined))
    }
    return known.value
  }
}
