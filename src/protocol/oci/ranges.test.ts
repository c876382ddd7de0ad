import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  byteRangeSizeBytes,
  formatContentRange,
  formatUnsatisfiedRange,
  parseByteRange,
} from './byte-range.ts'
import { chunkSizeBytes, formatUploadRange, parseContentRange } from './content-range.ts'
import { OciError } from './errors.ts'

describe('Content-Range of a chunk', () => {
  test.each(['0-99', ' 0-99 ', 'bytes 0-99/*', 'bytes 0-99/100', 'bytes 0-99', 'bytes=0-99'])(
    'reads %j',
    (text) => {
      expect(parseContentRange(text)).toEqual({ start: 0, end: 99 })
    },
  )

  test.each([
    '',
    '-',
    '0-',
    '-99',
    '99-0',
    'a-b',
    '0-99-100',
    '0--1',
    '-1-5',
    '0.5-3',
    '1e3-2e3',
    '0x0-0x9',
    'items 0-99/*',
    '0-99,100-199',
    '0-99999999999999999999',
    '0-9007199254740992',
    '0 - 99',
    '0-99\0',
    ' '.repeat(10_000) + 'x',
  ])('refuses %j', (text) => {
    expect(() => parseContentRange(text)).toThrow(
      expect.objectContaining({ code: 'RANGE_INVALID', status: 416 }),
    )
  })

  test('any chunk reads back', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(), (start, more) => {
        fc.pre(Number.isSafeInteger(start + more))
        const range = parseContentRange(`${start}-${start + more}`)
        expect(range.start).toBe(start)
        expect(chunkSizeBytes(range)).toBe(more + 1)
      }),
    )
  })

  test('the Range of an upload', () => {
    expect(formatUploadRange(0)).toBe('0-0')
    expect(formatUploadRange(1)).toBe('0-0')
    expect(formatUploadRange(100)).toBe('0-99')
  })
})

describe('Range of a GET', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=0-99', { start: 0, end: 99 }],
    ['bytes=10-', { start: 10, end: 99 }],
    ['bytes=10-1000', { start: 10, end: 99 }],
    ['bytes=10-99999999999999999999999999', { start: 10, end: 99 }],
    ['bytes=-10', { start: 90, end: 99 }],
    ['bytes=-1000', { start: 0, end: 99 }],
    ['BYTES=99-99', { start: 99, end: 99 }],
  ])('%s of 100 bytes', (text, expected) => {
    expect(parseByteRange(text, 100)).toEqual(expected)
  })

  test.each([
    undefined,
    null,
    '',
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'items=0-5',
    'bytes=0-1,5-6',
    '0-5',
  ])('%j means the whole', (text) => {
    expect(parseByteRange(text, 100)).toBeUndefined()
  })

  test.each(['bytes=500-0', 'bytes=100-', 'bytes=100-200', 'bytes=-0', 'bytes=99999999999999999999-'])(
    '%s of 100 bytes is refused',
    (text) => {
      expect(() => parseByteRange(text, 100)).toThrow(expect.objectContaining({ code: 'RANGE_INVALID' }))
    },
  )

  test('no byte of an empty blob can be asked for', () => {
    expect(() => parseByteRange('bytes=0-', 0)).toThrow(OciError)
    expect(() => parseByteRange('bytes=-5', 0)).toThrow(OciError)
    expect(parseByteRange(undefined, 0)).toBeUndefined()
  })

  test('a range lies within the blob, whatever was asked', () => {
    const number = fc.oneof(fc.constant(''), fc.nat(300).map(String))
    fc.assert(
      fc.property(number, number, fc.nat(200), (first, last, size) => {
        try {
          const range = parseByteRange(`bytes=${first}-${last}`, size)
          if (!range) return
          expect(range.start).toBeGreaterThanOrEqual(0)
          expect(range.end).toBeLessThan(size)
          expect(byteRangeSizeBytes(range)).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toBeInstanceOf(OciError)
        }
      }),
    )
  })

  test('headers of the answers', () => {
    expect(formatContentRange({ start: 0, end: 9 }, 100)).toBe('bytes 0-9/100')
    expect(formatUnsatisfiedRange(100)).toBe('bytes */100')
  })
})
