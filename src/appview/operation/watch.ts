import type { AppContext } from '../context.ts'
import { countQueues } from '../db/queue-lengths.ts'
import * as metrics from '../metrics.ts'

type Needs = Pick<AppContext, 'blobUploads' | 'db' | 'indexer'>

/** Has metrics read what this AppView knows, until it is disposed. */
export function watchAppView({ blobUploads, db, indexer }: Needs): Disposable {
  const sources = (value: (state: (typeof indexer.sources)[number]) => number | undefined) => () =>
    indexer.sources.flatMap((state) => {
      const known = value(state)
      return known === undefined ? [] : [{ labels: { source: state.source }, value: known }]
    })
  using watched = new DisposableStack()
  watched.use(metrics.uploadsActive.watch(() => [{ value: blobUploads.activeCount }]))
  watched.use(
    metrics.queueLength.watch(async () =>
      Object.entries(await countQueues(db)).map(([queue, value]) => ({ labels: { queue }, value })),
    ),
  )
  watched.use(metrics.indexLag.watch(sources(({ lagSeconds }) => lagSeconds)))
  watched.use(
    metrics.indexLastEvent.watch(
      sources(({ lastEventAtMs }) => (lastEventAtMs === undefined ? undefined : lastEventAtMs / 1000)),
    ),
  )
  watched.use(metrics.indexInterruptions.watch(sources(({ interruptions }) => interruptions)))
  watched.use(
    metrics.indexEvents.watch(() =>
      Object.entries(indexer.counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
    ),
  )
  watched.use(
    metrics.backfillRepos.watch(async () => {
      const progress = await indexer.backfillProgress()
      if (progress === undefined) return []
      const { waiting, done, failed } = progress
      return Object.entries({ waiting, done, failed }).map(([state, value]) => ({ labels: { state }, value }))
    }),
  )
  return watched.move()
}
