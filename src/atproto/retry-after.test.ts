import { expect, test } from 'vitest'

import { retryAfterSeconds } from './retry-after.ts'

const date = 'Thu, 01 Jan 2026 00:00:00 GMT'
const dateSeconds = Date.parse(date) / 1000

test.each<[Record<string, string>, number | undefined]>([
  [{ 'retry-after': '17' }, 17],
  [{ 'retry-after': '17', 'ratelimit-reset': '99' }, 17],
  [{ 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT', date }, 60],
  [{ 'retry-after': 'Wed, 31 Dec 2025 00:00:00 GMT', date }, 1],
  [{ 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT' }, undefined],
  [{ 'retry-after': 'soon', date }, undefined],
  [{ 'ratelimit-reset': String(dateSeconds + 120), date }, 120],
  [{ 'ratelimit-reset': String(dateSeconds + 120) }, undefined],
  [{ 'ratelimit-reset': '30' }, 30],
  [{ 'ratelimit-reset': '-1' }, undefined],
  [{}, undefined],
])('%j: %s seconds', (headers, seconds) => {
  expect(retryAfterSeconds(new Headers(headers))).toBe(seconds)
})
