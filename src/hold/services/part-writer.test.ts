import { expect, test } from 'vitest'

import { collectBytes } from '../../lib/streams.ts'
import type { BlobStore, StoreUpload } from '../ports/blob-store.ts'
import { writeParts } from './part-writer.ts'
import { Slots } from '../../lib/slots.ts'

const upload: StoreUpload = { key: 'uploads/u/data', storeUploadId: 's' }

/** A store that remembers parts, and how many were on their way at once. */
function partStore(partSizeBytes: number | undefined, failAt?: number) {
  const parts = new Map<number, string>()
  let running = 0
  let runningMax = 0
  const store = {
    partSizeBytes,
    writePart: async (_: StoreUpload, partNumber: number, source: AsyncIterable<Uint8Array>) => {
      running += 1
      runningMax = Math.max(runningMax, running)
      const bytes = await collectBytes(source, 1e7)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      if (partNumber === failAt) throw new Error('the store failed')
      parts.set(partNumber, Buffer.from(bytes).toString())
      return { partNumber, etag: `e${partNumber}`, sizeBytes: bytes.byteLength }
    },
  }
  return { store: store as Pick<BlobStore, 'writePart' | 'partSizeBytes'>, parts, most: () => runningMax }
}

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

const start = { upload: undefined, tail: new Uint8Array(), lastPartNumber: 0 }

test('equal parts, a tail, and no more at once than allowed', async () => {
  const { store, parts, most } = partStore(4)
  const needs = { store, slots: new Slots(8), begin: async () => upload }
  const first = await writeParts(needs, start, chunks('abcdef', 'ghijkl', 'mnopqr'))
  expect([...parts.values()].toSorted()).toEqual(['abcd', 'efgh', 'ijkl', 'mnop'])
  expect(first.parts.map(({ partNumber }) => partNumber)).toEqual([1, 2, 3, 4])
  expect(Buffer.from(first.tail).toString()).toBe('qr')
  expect(most()).toBeLessThanOrEqual(2)
  const at = { upload, tail: first.tail, lastPartNumber: 4 }
  const next = await writeParts(needs, at, chunks('stu'))
  expect(parts.get(5)).toBe('qrst')
  expect(Buffer.from(next.tail).toString()).toBe('u')
})

test('what fits no part begins nothing in the store', async () => {
  const { store } = partStore(1000)
  const begin = () => Promise.reject(new Error('begun'))
  const { upload, tail, parts } = await writeParts(
    { store, slots: new Slots(1), begin },
    start,
    chunks('ab', 'c'),
    { announcedBytes: 5 },
  )
  expect([upload, Buffer.from(tail).toString(), parts]).toEqual([undefined, 'abc', []])
})

test('parts grow with the announced size, so that ten thousand suffice', async () => {
  const { store } = partStore(8 * 2 ** 20)
  const begin = () => Promise.reject(new Error('begun'))
  const needs = { store, slots: new Slots(1), begin }
  const nineMebibytes = chunks(...Array.from({ length: 9 }, () => 'x'.repeat(2 ** 20)))
  expect(
    (await writeParts(needs, start, nineMebibytes, { announcedBytes: 100 * 2 ** 30 })).tail.byteLength,
  ).toBe(9 * 2 ** 20)
})

test('a failing part fails the whole, after the others have ended', async () => {
  const { store } = partStore(1, 2)
  const needs = { store, slots: new Slots(8), begin: async () => upload }
  await expect(writeParts(needs, start, chunks('abcdefgh'))).rejects.toThrow('the store failed')
})

test('a store that takes parts of any size gets one, but none for a small blob', async () => {
  const { store, parts } = partStore(undefined)
  const needs = { store, slots: new Slots(8), begin: async () => upload }
  const small = await writeParts(needs, start, chunks('abc', 'def'))
  expect([parts.size, Buffer.from(small.tail).toString()]).toEqual([0, 'abcdef'])
  const large = 'y'.repeat(300_000)
  const at = { upload: undefined, tail: small.tail, lastPartNumber: 0 }
  const written = await writeParts(needs, at, chunks(large, 'end'))
  expect(parts.get(1)).toBe(`abcdef${large}end`)
  expect(written.tail.byteLength).toBe(0)
})

test('slots let in as many as there are, in order', async () => {
  const slots = new Slots(1)
  const order: number[] = []
  const failing = slots.run(() => Promise.reject(new Error('x')))
  const rest = [1, 2, 3].map((number) => slots.run(async () => order.push(number)))
  await expect(failing).rejects.toThrow('x')
  await Promise.all(rest)
  expect(order).toEqual([1, 2, 3])
})
