import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { examples } from '../../../test/fixtures/syntax/examples.ts'
import { OciError } from './errors.ts'
import {
  didAlias,
  formatRepositoryPath,
  parseRepositoryName,
  parseRepositoryPath,
} from './repository-path.ts'

test.each(examples('repository-path-valid'))('takes %s', (text) => {
  const path = parseRepositoryPath(text)
  expect(path.owner).toMatch(/^(?:did:plc:[a-z0-9]+|did:web:[a-z0-9.-]+(?:%3A[0-9]+)?|[a-z0-9.-]+)$/)
  expect(parseRepositoryPath(formatRepositoryPath(path))).toEqual(path)
})

test.each(examples('repository-path-invalid'))('refuses %j', (text) => {
  expect(() => parseRepositoryPath(text)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
})

test.each(examples('handle-valid'))('takes the handle %s as owner', (handle) => {
  expect(parseRepositoryPath(`${handle}/app`).owner).toBe(handle)
})

test.each(examples('handle-invalid').filter((text) => !text.startsWith('did:')))(
  'refuses %j as owner',
  (text) => {
    expect(() => parseRepositoryPath(`${text}/app`)).toThrow(OciError)
  },
)

test.each([
  ['did:plc:xyz123/team/app', 'did:plc:xyz123'],
  ['did%3Aplc%3Axyz123/team/app', 'did:plc:xyz123'],
  ['did-plc-xyz123/team/app', 'did:plc:xyz123'],
  ['did-web-example.com/team/app', 'did:web:example.com'],
  ['did:web:localhost:8080/team/app', 'did:web:localhost%3A8080'],
  ['did:web:localhost%3a8080/team/app', 'did:web:localhost%3A8080'],
  ['did%3Aweb%3Alocalhost%253A8080/team/app', 'did:web:localhost%3A8080'],
  ['did-web-localhost__8080/team/app', 'did:web:localhost%3A8080'],
])('%s belongs to %s', (text, owner) => {
  expect(parseRepositoryPath(text)).toEqual({ owner, name: 'team/app' })
})

test.each(['did:plc:xyz123', 'did:web:example.com', 'did:web:my-host.example', 'did:web:localhost%3A8080'])(
  'the alias of %s leads back to it',
  (did) => {
    expect(parseRepositoryPath(`${didAlias(did)}/app`).owner).toBe(did)
  },
)

test('a DID without an alias has none', () => {
  expect(didAlias('did:key:z6Mk')).toBeUndefined()
})

const component = fc.stringMatching(/^[a-z0-9]{1,6}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}$/)
const name = fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'))
const owner = fc.oneof(
  fc.stringMatching(/^[a-z0-9]{1,10}\.[a-z]{2,10}$/),
  fc.stringMatching(/^did:plc:[a-z2-7]{24}$/),
  fc.stringMatching(/^did:web:[a-z]{1,10}(?:%3A[1-9][0-9]{0,4})?$/),
)

test('any path by the grammar reads back', () => {
  fc.assert(
    fc.property(owner, name, (owner, name) => {
      expect(parseRepositoryPath(formatRepositoryPath({ owner, name }))).toEqual({ owner, name })
      expect(parseRepositoryName(name)).toBe(name)
    }),
  )
})

test('garbage gives a path or an OciError', () => {
  const pieces = fc.constantFrom(
    'alice.test',
    'did:plc:a',
    '/',
    '..',
    '%2f',
    '%3A',
    '%25',
    'a',
    'A',
    '\0',
    '_',
    '-',
    '.',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
      try {
        const path = parseRepositoryPath(parts.join(''))
        expect(parseRepositoryPath(formatRepositoryPath(path))).toEqual(path)
        expect(path.name).not.toMatch(/\.\.|%|\/\/|[^a-z0-9._/-]/)
      } catch (error) {
        expect(error).toBeInstanceOf(OciError)
      }
    }),
  )
})

test.each([
  ['one long component', `alice.test/${'a'.repeat(1_000_000)}`],
  ['many separators', `alice.test/${'a-'.repeat(120)}`],
  ['many dashes', `alice.test/a${'-'.repeat(240)}`],
  ['many labels', `${'a.'.repeat(120)}/a`],
  ['percent signs', `${'%25'.repeat(240)}/a`],
])('refuses %s at once', (_, text) => {
  expect(() => parseRepositoryPath(text)).toThrow(OciError)
})
