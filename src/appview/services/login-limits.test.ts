import { beforeEach, expect, test } from 'vitest'

import { LoginLimits } from './login-limits.ts'

let nowMs: number
let limits: LoginLimits

beforeEach(() => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  limits = new LoginLimits({ now: () => new Date(nowMs) })
})

/** How many of so many attempts are let through. */
function takeMany(count: number, of: (index: number) => [account: string, address: string]): number {
  let taken = 0
  for (let index = 0; index < count; index++) {
    const [account, address] = of(index)
    try {
      limits.take({ account, address })
      taken += 1
    } catch (error) {
      expect(error).toMatchObject({ code: 'login_blocked', retryAfterSeconds: expect.any(Number) })
    }
  }
  return taken
}

test.each([
  ['one network at one account', 6, () => ['alice', '192.0.2.1']],
  ['one account, however it is written', 6, (index) => [index % 2 ? 'Alice' : 'aLICE', '192.0.2.1']],
  ['a /64 at one account', 6, (index) => ['alice', `2001:db8::${index.toString(16)}`]],
  ['one network at many accounts', 20, (index) => [`${index}`, '192.0.2.1']],
  ['a /64 at many accounts', 20, (index) => [`${index}`, `2001:db8::${index.toString(16)}`]],
  ['some networks at one account', 15, (index) => ['alice', `192.0.2.${index % 3}`]],
  ['many networks at one account', 25, (index) => ['alice', `192.0.2.${index}`]],
  ['many networks at many accounts', 200, (index) => [`${index}`, `192.0.2.${index}`]],
] satisfies [string, number, (index: number) => [string, string]][])('%s: %i of 200', (_, count, of) => {
  expect(takeMany(200, of)).toBe(count)
})

test('a refusal says how long to wait, and waiting that long is enough', () => {
  takeMany(6, () => ['alice', '192.0.2.1'])
  expect(() => limits.take({ account: 'alice', address: '192.0.2.1' })).toThrow(
    expect.objectContaining({ code: 'login_blocked', retryAfterSeconds: 180 }),
  )
  nowMs += 180_000
  expect(takeMany(2, () => ['alice', '192.0.2.1'])).toBe(1)
})

test('a success gives back what it took and forgives the pair; what else went wrong stays', () => {
  takeMany(5, () => ['alice', '192.0.2.1'])
  limits.take({ account: 'alice', address: '192.0.2.1' })()
  expect(takeMany(200, () => ['alice', '192.0.2.1'])).toBe(6)
  // 5 of the network's 20 went before the success; what a known pair does costs the network nothing.
  expect(takeMany(200, (index) => [`${index}`, '192.0.2.1'])).toBe(15)
})

test('where an account is known, what others do is not felt, and known passwords forgive no guesses', () => {
  limits.noteKnown({ account: 'alice', address: '192.0.2.1' })
  takeMany(200, (index) => ['alice', `198.51.100.${index}`])
  takeMany(200, (index) => [`${index}`, '192.0.2.1'])
  expect(takeMany(200, () => ['alice', '192.0.2.1'])).toBe(6)
  limits.noteKnown({ account: 'alice', address: '192.0.2.1' })
  expect(takeMany(1, () => ['alice', '192.0.2.1'])).toBe(0)
})

test('a first try from elsewhere is let through while some networks guess; a second one waits', () => {
  takeMany(200, (index) => ['alice', `198.51.100.${index % 5}`])
  expect(takeMany(3, () => ['alice', '203.0.113.1'])).toBe(1)
})
