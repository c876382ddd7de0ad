import { expect, test } from 'vitest'

import { PullLimits } from './pull-limits.ts'

function limits() {
  let nowMs = 0
  const taken = new PullLimits({ now: () => new Date(nowMs) })
  return { taken, advance: (ms: number) => (nowMs += ms) }
}

test('a reporter adds so much to a repository, and no more within the hour', () => {
  const { taken, advance } = limits()
  expect(taken.take('1.2.3.4', 'a', 10_000)).toBe(10_000)
  expect(taken.take('1.2.3.4', 'a', 15_000)).toBe(10_000)
  expect(taken.take('1.2.3.4', 'a', 1)).toBe(0)
  expect(taken.take('1.2.3.4', 'b', 1)).toBe(1)
  expect(taken.take('5.6.7.8', 'a', 1)).toBe(1)
  advance(3_600_000)
  expect(taken.take('1.2.3.4', 'a', 1)).toBe(1)
})

test('all repositories together have a limit, and so have notices', () => {
  const { taken } = limits()
  const counted = Array.from({ length: 30 }, (_, index) => taken.take('liar', `r${index}`, 10_000))
  expect(counted.reduce((sum, count) => sum + count)).toBe(200_000)
  for (let count = 0; count < 20_000; count++) taken.take('chatterbox', 'a', 0)
  expect(taken.take('chatterbox', 'a', 1)).toBe(0)
})

test('many reporters do not fill the memory', () => {
  const { taken } = limits()
  taken.take('first', 'a', 20_000)
  for (let count = 0; count < 2_000; count++) taken.take(`r${count}`, 'a', 1)
  expect(taken.take('first', 'a', 1)).toBe(1)
})
