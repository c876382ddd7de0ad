/** Where a service takes the time from; tests hand in their own. */
export type Now = () => Date

export const systemNow: Now = () => new Date()

/** Resolves after `durationMs`, or rejects at once with the signal's reason when it is aborted. */
export function sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, durationMs)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Waits for something no longer than a signal lets: rejects with its reason then, whatever still comes of it. */
export async function waitUnlessAborted<T>(event: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([event, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Waits for something to end, whatever comes of it, but `durationMs` at most. */
export async function waitAtMost(durationMs: number, event: Promise<unknown>): Promise<void> {
  const stop = new AbortController()
  await Promise.race([event, sleep(durationMs, stop.signal)]).catch(() => undefined)
  stop.abort()
}
