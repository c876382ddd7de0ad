import { expect, test } from 'vitest'

import { KeyedLocks } from './keyed-locks.ts'

test('one at a time for a key, in order; other keys do not wait', async () => {
  const locks = new KeyedLocks()
  const gate = Promise.withResolvers<void>()
  const seen: string[] = []
  const first = locks.run('a', () => gate.promise.then(() => void seen.push('first')))
  const second = locks.run('a', async () => void seen.push('second'))
  await locks.run('b', async () => void seen.push('other'))
  gate.resolve()
  await Promise.all([first, second])
  expect(seen).toEqual(['other', 'first', 'second'])
})

test('a failure frees the key', async () => {
  const locks = new KeyedLocks()
  await expect(locks.run('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await locks.run('a', async () => 'yes')).toBe('yes')
})

test('takes those that are free, and those who come meanwhile wait', async () => {
  const locks = new KeyedLocks()
  const gate = Promise.withResolvers<void>()
  const busy = locks.run('a', () => gate.promise)
  let isOver = false
  let waiter: Promise<void> | undefined
  await locks.runWithFree(['a', 'b', 'b', 'c'], async (free) => {
    expect(free).toEqual(['b', 'c'])
    waiter = locks.run('b', async () => expect(isOver).toBe(true))
    await Promise.resolve()
    isOver = true
  })
  await waiter
  gate.resolve()
  await busy
  expect(await locks.runWithFree(['a', 'b'], async (free) => free.length)).toBe(2)
})
