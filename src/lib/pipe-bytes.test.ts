import { Readable, Writable } from 'node:stream'

import { expect, test } from 'vitest'

import { pipeBytes, releaseBytes } from './pipe-bytes.ts'

const slow = (taken: number[], fails = false) =>
  new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      setImmediate(() => {
        taken.push(chunk.byteLength)
        done(fails ? new Error('the disk is full') : null)
      })
    },
  })
const own = (size: number) => Buffer.from(new ArrayBuffer(size))

test('frees what owns its memory and leaves views of shared memory alone', () => {
  const whole = own(1000)
  const part = whole.subarray(0, 10)
  releaseBytes(part)
  expect(part.byteLength).toBe(10)
  releaseBytes(whole)
  expect(whole.byteLength).toBe(0)
  const pooled = Buffer.from('pooled')
  releaseBytes(pooled)
  expect(pooled.toString()).toBe('pooled')
})

test('every chunk arrives whole and in order before it is freed', async () => {
  const taken: number[] = []
  const chunks = [own(3), own(70_000), own(5)]
  await pipeBytes(Readable.from(chunks), slow(taken))
  expect(taken).toEqual([3, 70_000, 5])
  expect(chunks.map((chunk) => chunk.byteLength)).toEqual([0, 0, 0])
})

test('both ends are destroyed when either breaks off', async () => {
  const target = slow([], true)
  const source = Readable.from([own(3), own(3)])
  await expect(pipeBytes(source, target)).rejects.toThrow('the disk is full')
  expect([source.destroyed, target.destroyed]).toEqual([true, true])
  const broken = new Readable({ read: () => undefined })
  const open = slow([])
  setImmediate(() => broken.destroy())
  await expect(pipeBytes(broken, open)).rejects.toThrow('broke off')
  expect(open.destroyed).toBe(true)
})
