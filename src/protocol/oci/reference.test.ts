import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { examples } from '../../../test/fixtures/syntax/examples.ts'
import { OciError } from './errors.ts'
import { formatReference, parseReference, parseTag } from './reference.ts'

test.each(examples('reference-valid'))('takes %s', (text) => {
  const reference = parseReference(text)
  expect(reference.kind).toBe(text.includes(':') ? 'digest' : 'tag')
  expect(formatReference(reference)).toBe(text)
})

test.each(examples('reference-invalid'))('refuses %s', (text) => {
  expect(() => parseReference(text)).toThrow(OciError)
  expect(() => parseTag(text)).toThrow(expect.objectContaining({ code: 'TAG_INVALID' }))
})

test('the empty text is refused', () => {
  expect(() => parseReference('')).toThrow(OciError)
})

test('any tag by the grammar reads back', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/), (text) => {
      expect(formatReference(parseReference(text))).toBe(text)
    }),
  )
})

test('garbage gives a reference or an OciError', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      try {
        expect(formatReference(parseReference(text))).toBe(text)
      } catch (error) {
        expect(error).toBeInstanceOf(OciError)
      }
    }),
  )
})
