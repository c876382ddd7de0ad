import { beforeEach, expect, test } from 'vitest'

import { AttemptLimit } from './attempt-limit.ts'

let nowMs: number
let limit: AttemptLimit

beforeEach(() => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  limit = new AttemptLimit({ now: () => new Date(nowMs), countMax: 3, everySeconds: 10 })
})

const takeMany = (count: number, key = 'a') => Array.from({ length: count }, () => limit.take(key))

test('so many at once, then one every so often; who is refused does not wait the longer for asking', () => {
  expect(takeMany(5)).toEqual([undefined, undefined, undefined, 10, 10])
  expect(limit.take('b')).toBeUndefined()
  nowMs += 4000
  expect(limit.take('a')).toBe(6)
  nowMs += 6000
  expect(takeMany(2)).toEqual([undefined, 10])
  nowMs += 30_000
  expect(takeMany(4)).toEqual([undefined, undefined, undefined, 10])
})

test('what is given back can be taken again, and no more than was taken', () => {
  takeMany(3)
  limit.giveBack('a')
  expect(takeMany(2)).toEqual([undefined, 10])
  for (let count = 0; count < 9; count++) limit.giveBack('a')
  expect(limit.isFresh('a')).toBe(true)
  expect(takeMany(4)).toEqual([undefined, undefined, undefined, 10])
  limit.forget('a')
  expect(limit.waitSeconds('a')).toBe(0)
})

test('many keys do not fill the memory: the one that was used longest ago goes', () => {
  takeMany(3, 'old')
  takeMany(3, 'used')
  for (let key = 0; key < 49_998; key++) limit.take(`${key}`)
  limit.giveBack('used')
  limit.take('used')
  limit.take('one more')
  expect([limit.waitSeconds('old'), limit.waitSeconds('used')]).toEqual([0, 10])
})
