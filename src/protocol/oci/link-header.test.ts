import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { formatNextLink, parseNextLink } from './link-header.ts'

test('leads to the next page', () => {
  expect(formatNextLink('/v2/alice.test/app/tags/list', { n: '10', last: 'v1' })).toBe(
    '</v2/alice.test/app/tags/list?n=10&last=v1>; rel="next"',
  )
})

test('any parameters read back', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.string({ unit: 'grapheme' })), (parameters) => {
      const target = parseNextLink(formatNextLink('/v2/a/tags/list', parameters))
      expect(Object.fromEntries(new URL(target ?? '', 'http://localhost').searchParams)).toEqual(parameters)
    }),
  )
})

test.each([
  ['</a>; rel=next', '/a'],
  ['</p>; rel="prev", </n>; rel="next"', '/n'],
  ['</p>; rel="prev"', undefined],
  ['</p>', undefined],
  ['', undefined],
  [undefined, undefined],
  ['<'.repeat(50_000), undefined],
])('%j', (value, expected) => {
  expect(parseNextLink(value)).toBe(expected)
})
