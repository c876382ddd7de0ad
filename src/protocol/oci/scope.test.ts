import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { coversAction, formatScope, parseScope, parseScopes } from './scope.ts'

const repository = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions })

test.each([
  ['repository:alice.test/app:pull', [repository('alice.test/app', 'pull')]],
  ['repository:alice.test/app:pull,push', [repository('alice.test/app', 'pull', 'push')]],
  ['repository:alice.test/app:*', [repository('alice.test/app', '*')]],
  ['repository:did:plc:xyz/app:pull,push', [repository('did:plc:xyz/app', 'pull', 'push')]],
  ['repository:did:web:localhost%3A8080/app:pull', [repository('did:web:localhost%3A8080/app', 'pull')]],
  ['repository(plugin):a/b:pull', [repository('a/b', 'pull')]],
  ['registry:catalog:*', [{ type: 'registry', name: 'catalog', actions: ['*'] }]],
  ['repository:a/b:pull repository:c/d:pull', [repository('a/b', 'pull'), repository('c/d', 'pull')]],
  ['repository:a/b:pull repository:a/b:pull,push', [repository('a/b', 'pull', 'push')]],
  ['repository:a/b:', [repository('a/b')]],
  ['', []],
  ['nonsense', []],
  ['repository:a/b', []],
  ['repository::pull', []],
  [':a:pull', []],
  ['repository:a/b:PULL', []],
  ['repository:a/b:pull;push', []],
])('%s', (text, expected) => {
  expect(parseScopes(text)).toEqual(expected)
})

test('several parameters are one list', () => {
  expect(parseScopes(['repository:a/b:pull,push', 'repository:c/d:pull'])).toHaveLength(2)
})

test('a thousand scopes are cut to a hundred', () => {
  const many = Array.from({ length: 1000 }, (_, index) => `repository:a/b${index}:pull`)
  expect(parseScopes(many)).toHaveLength(100)
})

test('a star covers every action', () => {
  expect(coversAction(['*'], 'push')).toBe(true)
  expect(coversAction(['pull'], 'push')).toBe(false)
})

test('any scope reads back', () => {
  const name = fc.stringMatching(/^[a-z0-9:/._%-]+$/)
  const actions = fc.uniqueArray(fc.constantFrom('pull', 'push', 'delete', '*'))
  fc.assert(
    fc.property(name, actions, (name, actions) => {
      const scope = { type: 'repository', name, actions }
      expect(parseScope(formatScope(scope))).toEqual(scope)
    }),
  )
})

test('garbage never throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => Array.isArray(parseScopes(text))))
})
