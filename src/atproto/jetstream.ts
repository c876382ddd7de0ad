import { JetstreamSubscription } from '@atcute/jetstream'

import { eventMicros, type NetworkEvent } from './network-event.ts'

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
): AsyncGenerator<NetworkEvent, void, undefined> {
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

function toEvent(raw: NonNullable<RawEvent>): NetworkEvent {
  const { did, time_us: cursor } = raw
  if (raw.kind === 'identity') return { did, cursor, kind: 'identity', handle: raw.identity.handle }
  if (raw.kind === 'account') {
    const {
      active: isActive,
      status,
      time,
    } = raw.account as { active: boolean; status?: string; time?: string }
    return { did, cursor, kind: 'account', isActive, status, atMicros: eventMicros(time, cursor) }
  }
  const { collection, rkey, rev } = raw.commit
  const place = { did, cursor, collection, rkey, rev }
  if (raw.commit.operation === 'delete') return { kind: 'delete', ...place }
  return { kind: 'put', ...place, cid: raw.commit.cid, record: raw.commit.record }
}
