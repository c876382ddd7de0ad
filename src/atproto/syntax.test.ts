import fc from 'fast-check'
import { expect, test } from 'vitest'

import {
  didWebOfUrl,
  formatAtUri,
  isDid,
  normalizeDid,
  parseAtUri,
  parseDid,
  parseHandle,
  urlOfDidWeb,
} from './syntax.ts'

test('both spellings of a did:web with a port are the same DID', () => {
  expect(normalizeDid('did:web:127.0.0.1:8080')).toBe('did:web:127.0.0.1%3A8080')
  expect(normalizeDid('did:web:localhost%3A8080')).toBe('did:web:localhost%3A8080')
  expect(normalizeDid('did:web:Hold.Example')).toBe('did:web:hold.example')
  expect(normalizeDid('did:plc:abc')).toBe('did:plc:abc')
  expect(didWebOfUrl('http://localhost:8080/x')).toBe('did:web:localhost%3A8080')
  expect(didWebOfUrl('https://hold.example')).toBe('did:web:hold.example')
  expect(urlOfDidWeb('did:web:localhost%3A8080')).toBe('http://localhost:8080')
  expect(urlOfDidWeb('did:web:Hold.example:8443')).toBe('https://hold.example:8443')
  expect(() => urlOfDidWeb('did:plc:hold')).toThrow()
})

test('AT-URIs of records round-trip; anything else is undefined', () => {
  const uri = formatAtUri('did:plc:abc', 'io.atcr.tag', 'app_latest')
  expect(parseAtUri(uri)).toEqual({ did: 'did:plc:abc', collection: 'io.atcr.tag', rkey: 'app_latest' })
  for (const bad of [
    '',
    'at://alice.test/io.atcr.tag/x',
    'at://did:plc:abc',
    'at://did:plc:abc/io.atcr.tag',
    `${uri}/x`,
  ]) {
    expect(parseAtUri(bad)).toBeUndefined()
  }
})

test('what is neither DID nor handle is refused by name, whatever it is', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300 }), (text) => {
      if (!isDid(text)) expect(() => parseDid(text)).toThrow(/not a DID/)
      try {
        expect(parseHandle(text)).toBe(text.toLowerCase())
      } catch (error) {
        expect((error as { code: string }).code).toBe('handle_unresolved')
      }
    }),
  )
})
