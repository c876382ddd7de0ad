import { sleep } from './clock.ts'

/** How often and how patiently to try again. */
export interface RetryOptions {
  /** Tries in all, the first included. */
  attemptCountMax: number
  /** Wait before the second try; doubles for each one after, with up to half of it added at random. */
  delayMs: number
  /** Says whether a failure may pass; others are thrown at once. */
  isPassing: (error: unknown) => boolean
  signal?: AbortSignal
}

/** Calls `action` until it succeeds, fails for good, or the tries are used up; throws the last failure. */
export async function retry<T>(action: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action(attempt)
    } catch (error) {
      if (attempt >= options.attemptCountMax || !options.isPassing(error)) throw error
      const delayMs = options.delayMs * 2 ** (attempt - 1)
      await sleep(delayMs + Math.random() * (delayMs / 2), options.signal)
    }
  }
}
