import { expect, test } from 'vitest'

import { ownPath } from './own-path.ts'

test.each(['/', '/settings', '/r/alice.test/app?page=2', '/device?code=ABCD-EFGH', '/u/did%3Aplc%3Ax'])(
  '%s stays',
  (path) => {
    expect(ownPath(path, '/else')).toBe(path)
  },
)

test.each([
  ['empty', ''],
  ['another host', '//evil.example'],
  ['another host by backslash', '/\\evil.example'],
  ['a backslash further on', '/a\\..\\\\evil.example'],
  ['another origin', 'https://evil.example/'],
  ['a script', 'javascript:alert(1)'],
  ['relative', 'settings'],
  ['a tab that browsers drop', '/\t/evil.example'],
  ['a line break', '/settings\r\nset-cookie: a=b'],
  ['a leading blank', ' //evil.example'],
  ['a NUL', '/\u0000/evil.example'],
  ['dots that leave two slashes', '/..//evil.example'],
  ['dots further on', '/a/..//evil.example'],
  ['encoded dots', '/%2e%2e//evil.example'],
  ['no end', `/${'a'.repeat(2000)}`],
])('%s does not', (_what, path) => {
  expect(ownPath(path, '/else')).toBe('/else')
})

test('a fragment is dropped', () => {
  expect(ownPath('/settings#x', '/')).toBe('/settings')
})
