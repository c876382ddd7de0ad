import { expect, test } from 'vitest'

import {
  decideMissing,
  decideSweep,
  goneAccountPeriodMs,
  isAccountGone,
  type SweptBlob,
} from './gc-decisions.ts'

const hourMs = 3_600_000
const time = (hours: number) => new Date(Date.UTC(2030, 0, 1) + hours * hourMs).toISOString()
const graceMs = 10 * hourMs

const garbage: SweptBlob = {
  isLinked: false,
  isUploading: false,
  condemnedAt: time(0),
  uploadersReachedAt: time(1),
}

test.each<[string, Partial<SweptBlob>, number, ReturnType<typeof decideSweep>]>([
  ['nothing needs it, for long enough', {}, 10, 'delete'],
  ['nothing needs it, nobody is known to have sent it', { uploadersReachedAt: undefined }, 10, 'delete'],
  ['the grace period is not over', {}, 9.99, 'wait'],
  ['the clock went back', {}, -5, 'wait'],
  ['nothing needs it, as is found now', { condemnedAt: null }, 1000, 'condemn'],
  ['a layer came', { isLinked: true }, 1000, 'pardon'],
  ['an upload came', { isUploading: true }, 1000, 'pardon'],
  ['it is in use', { isLinked: true, condemnedAt: null }, 1000, 'keep'],
  ['it was uploaded just now', { isUploading: true, condemnedAt: null }, 1000, 'keep'],
  ['who sent it was never seen', { uploadersReachedAt: null }, 1000, 'wait'],
  ['who sent it was last seen before', { uploadersReachedAt: time(-1) }, 1000, 'wait'],
])('a blob: %s', (_, change, hours, verdict) => {
  expect(decideSweep({ ...garbage, ...change }, { now: time(hours), graceMs })).toBe(verdict)
})

test('a manifest dies of two looks that are a grace period apart', () => {
  expect(decideMissing(undefined, { now: time(0), graceMs })).toBe('note')
  expect(decideMissing(time(0), { now: time(0), graceMs })).toBe('wait')
  expect(decideMissing(time(0), { now: time(9.9), graceMs })).toBe('wait')
  expect(decideMissing(time(0), { now: time(10), graceMs })).toBe('remove')
})

test('an account is gone after a long time and several answers', () => {
  const days = goneAccountPeriodMs / hourMs
  const at = (hours: number) => ({ now: time(hours), graceMs })
  expect(isAccountGone({ goneSince: time(0), goneLookCount: 3 }, at(days))).toBe(true)
  expect(isAccountGone({ goneSince: time(0), goneLookCount: 2 }, at(days))).toBe(false)
  expect(isAccountGone({ goneSince: time(0), goneLookCount: 300 }, at(days - 1))).toBe(false)
  const patient = { now: time(days), graceMs: goneAccountPeriodMs * 2 }
  expect(isAccountGone({ goneSince: time(0), goneLookCount: 3 }, patient)).toBe(false)
})
