import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { examples } from '../../../test/fixtures/syntax/examples.ts'
import { digestAlgorithm, digestHex, digestOfBytes, formatDigest, isDigest, parseDigest } from './digest.ts'
import { OciError } from './errors.ts'

test.each(examples('digest-valid'))('takes %s', (text) => {
  const digest = parseDigest(text)
  expect(`${digestAlgorithm(digest)}:${digestHex(digest)}`).toBe(text)
  expect(isDigest(text)).toBe(true)
})

test.each(examples('digest-invalid'))('refuses %s', (text) => {
  expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }))
  expect(isDigest(text)).toBe(false)
})

test('the digest of no bytes is the known one', () => {
  expect(digestOfBytes(new Uint8Array())).toBe(
    'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  )
})

test('digests of any bytes read back', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.constantFrom('sha256' as const, 'sha512' as const),
      (bytes, algorithm) => {
        const digest = digestOfBytes(bytes, algorithm)
        expect(parseDigest(digest)).toBe(digest)
        expect(formatDigest(digestAlgorithm(digest), digestHex(digest))).toBe(digest)
      },
    ),
  )
})

test('garbage gives an OciError and nothing else', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(() => parseDigest(text)).toThrow(OciError)
    }),
  )
})
