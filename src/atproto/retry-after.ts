/** Above it, seconds of `RateLimit-Reset` are a time since 1970 (reference PDS), not a delay (IETF draft). */
const delaySecondsMax = 1_000_000_000

/**
 * How many seconds a server asks to wait: `Retry-After` (seconds or a date, RFC 9110 §10.2.3), else
 * `RateLimit-Reset`. Times are compared with the answer's own `Date`, so that no two clocks have to agree.
 */
export function retryAfterSeconds(headers: Headers): number | undefined {
  const retryAfter = headers.get('retry-after')
  if (retryAfter !== null)
    return /^\d+$/.test(retryAfter) ? Number(retryAfter) : secondsUntil(Date.parse(retryAfter), headers)
  const reset = headers.get('ratelimit-reset')
  if (reset === null || !/^\d+$/.test(reset)) return undefined
  return Number(reset) < delaySecondsMax ? Number(reset) : secondsUntil(Number(reset) * 1000, headers)
}

function secondsUntil(timeMs: number, headers: Headers): number | undefined {
  const seconds = Math.ceil((timeMs - Date.parse(headers.get('date') ?? '')) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.max(seconds, 1)
}
