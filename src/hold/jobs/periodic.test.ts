import { expect, test } from 'vitest'

import { Periodic } from './periodic.ts'

const intervalMs = 3_600_000

test('runs once more when it was kicked while it ran', async () => {
  let count = 0
  const gate = Promise.withResolvers<void>()
  await using periodic = new Periodic({
    name: 'test',
    intervalMs,
    run: async () => {
      count += 1
      await gate.promise
    },
  })
  periodic.kick()
  periodic.kick()
  periodic.kick()
  gate.resolve()
  await periodic.idle()
  expect(count).toBe(2)
})

test('tells a run that it is to end, waits for it, and begins no other', async () => {
  let count = 0
  const periodic = new Periodic({
    name: 'test',
    intervalMs,
    run: async (signal) => {
      count += 1
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    },
  })
  periodic.kick()
  periodic.kick()
  await periodic[Symbol.asyncDispose]()
  periodic.kick()
  await periodic.idle()
  expect(count).toBe(1)
})

test('does not wait for ever for a run that hangs', async () => {
  const periodic = new Periodic({
    name: 'test',
    intervalMs,
    patienceMs: 1,
    run: () => new Promise(() => undefined),
  })
  periodic.kick()
  await periodic[Symbol.asyncDispose]()
})
