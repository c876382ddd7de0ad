import { expect, test } from 'vitest'

import { ByteCache } from './byte-cache.ts'

const loaded = (value: string, freshMs = 1000) => ({ value, bytes: value.length, freshMs })

test('a value is loaded once, by however many ask at the same time, and again when it is old', async () => {
  const cache = new ByteCache<string>({ bytesMax: 100 })
  let count = 0
  const load = async () => loaded(`${++count}`)
  expect(await Promise.all([cache.get('a', 0, load), cache.get('a', 0, load)])).toEqual(['1', '1'])
  expect(await cache.get('a', 999, load)).toBe('1')
  expect(await cache.get('a', 1000, load)).toBe('2')
})

test('it holds no more bytes than it may, and forgets what nobody asked for', async () => {
  const cache = new ByteCache<string>({ bytesMax: 10 })
  for (const key of ['aaaa', 'bbbb']) await cache.get(key, 0, async () => loaded(key))
  cache.peek('aaaa', 0)
  await cache.get('cccc', 0, async () => loaded('cccc'))
  expect(['aaaa', 'bbbb', 'cccc'].map((key) => cache.peek(key, 0))).toEqual(['aaaa', undefined, 'cccc'])
  await cache.get('huge', 0, async () => loaded('x'.repeat(11)))
  expect(['aaaa', 'cccc', 'huge'].map((key) => cache.peek(key, 0))).toEqual([undefined, undefined, undefined])
})

test('a failure is not kept', async () => {
  const cache = new ByteCache<string>({ bytesMax: 10 })
  await expect(cache.get('a', 0, () => Promise.reject(new Error('down')))).rejects.toThrow('down')
  expect(await cache.get('a', 0, async () => loaded('up'))).toBe('up')
})
