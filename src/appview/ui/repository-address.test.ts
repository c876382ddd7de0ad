import { expect, test } from 'vitest'

import { parseRepositoryAddress } from './repository-address.ts'

const digest = `sha256:${'a'.repeat(64)}`

test.each([
  ['alice.test/app', { path: 'alice.test/app', page: 'overview', reference: '' }],
  ['alice.test/team/app', { path: 'alice.test/team/app', page: 'overview', reference: '' }],
  ['alice.test/app/tags/v1', { path: 'alice.test/app', page: 'tag', reference: 'v1' }],
  ['alice.test/tags/tags/tags', { path: 'alice.test/tags', page: 'tag', reference: 'tags' }],
  [`alice.test/app/manifests/${digest}`, { path: 'alice.test/app', page: 'manifest', reference: digest }],
  ['alice.test/manifests/app', { path: 'alice.test/manifests/app', page: 'overview', reference: '' }],
  ['alice.test/app/-/diff', { path: 'alice.test/app', page: '-/diff', reference: '' }],
  ['alice.test/app/-/history/v1', { path: 'alice.test/app', page: '-/history', reference: 'v1' }],
  ['alice.test/app/-/feed.atom', { path: 'alice.test/app', page: '-/feed.atom', reference: '' }],
  ['alice.test/app/-/x/tags/y/-/z', { path: 'alice.test/app', page: '-/x', reference: 'tags/y/-/z' }],
  ['', { path: '', page: 'overview', reference: '' }],
])('%s', (text, address) => {
  expect(parseRepositoryAddress(text)).toEqual(address)
})
