import { JetstreamSubscription } from '@atcute/jetstream'

import type { Did } from './syntax.ts'

/** One event of the network; `timeMicros` is the cursor to resume after it. */
export type JetstreamEvent = { did: Did; timeMicros: number } & (
  | { kind: 'put'; collection: string; rkey: string; rev: string; cid: string; record: unknown }
  | { kind: 'delete'; collection: string; rkey: string; rev: string }
  | { kind: 'identity'; handle: string | undefined }
  | { kind: 'account'; isActive: boolean; status: string | undefined }
)

export interface JetstreamOptions {
  /** Tried in turn whenever a connection fails. */
  urls: readonly string[]
  /** Microseconds; 0 replays everything the server still has. */
  cursorMicros: number
  /** Collections to be sent; identity and account events come always. */
  wantedCollections: readonly string[]
  /** Ends the iteration. */
  signal: AbortSignal
  onConnection?: (state: 'open' | 'closed') => void
}

/** The events from a cursor on, without end; reconnects by itself and resumes where it was. Malformed frames are skipped. */
export async function* jetstreamEvents(
  options: JetstreamOptions,
): AsyncGenerator<JetstreamEvent, void, undefined> {
  const subscription = new JetstreamSubscription({
    url: [...options.urls],
    cursor: options.cursorMicros,
    wantedCollections: [...options.wantedCollections],
    onConnectionOpen: () => options.onConnection?.('open'),
    onConnectionClose: () => options.onConnection?.('closed'),
    onConnectionError: () => undefined,
    onError: () => undefined,
    ws: { minReconnectionDelay: 200, maxReconnectionDelay: 10_000 },
  })
  const iterator = subscription[Symbol.asyncIterator]()
  try {
    while (!options.signal.aborted) {
      const result = await nextUnlessAborted(iterator, options.signal)
      if (result === undefined || result.done === true) return
      yield toEvent(result.value)
    }
  } finally {
    await iterator.return?.()
  }
}

/** The library's `return()` leaves a pending `next()` pending, so that the signal has to end the wait itself. */
function nextUnlessAborted<T>(
  iterator: AsyncIterator<T>,
  signal: AbortSignal,
): Promise<IteratorResult<T> | undefined> {
  return new Promise((resolve, reject) => {
    const onAbort = () => resolve(undefined)
    signal.addEventListener('abort', onAbort, { once: true })
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}

type RawEvent = Awaited<
  ReturnType<ReturnType<JetstreamSubscription[typeof Symbol.asyncIterator]>['next']>
>['value']

function toEvent(raw: NonNullable<RawEvent>): JetstreamEvent {
  const { did, time_us: timeMicros } = raw
  if (raw.kind === 'identity') return { did, timeMicros, kind: 'identity', handle: raw.identity.handle }
  if (raw.kind === 'account') {
    const { status } = raw.account as { status?: string }
    return { did, timeMicros, kind: 'account', isActive: raw.account.active, status }
  }
  const { collection, rkey, rev } = raw.commit
  if (raw.commit.operation === 'delete') return { did, timeMicros, kind: 'delete', collection, rkey, rev }
  return {
    did,
    timeMicros,
    kind: 'put',
    collection,
    rkey,
    rev,
    cid: raw.commit.cid,
    record: raw.commit.record,
  }
}
