import { expect, test } from 'vitest'

import { KeyedQueue } from './keyed-queue.ts'

test('one after the other under a key, side by side under two; a failure stops nobody', async () => {
  const queue = new KeyedQueue()
  const seen: string[] = []
  const gate = Promise.withResolvers<undefined>()
  const first = queue.run('a', async () => {
    seen.push('a1')
    await gate.promise
    seen.push('a1 ends')
    throw new Error('no luck')
  })
  const second = queue.run('a', async () => void seen.push('a2'))
  await queue.run('b', async () => void seen.push('b'))
  expect(seen).toEqual(['a1', 'b'])
  gate.resolve(undefined)
  await expect(first).rejects.toThrow('no luck')
  await second
  expect(seen).toEqual(['a1', 'b', 'a1 ends', 'a2'])
})
