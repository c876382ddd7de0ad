import fc from 'fast-check'
import { expect, test } from 'vitest'

import { OciError } from '../../protocol/oci/errors.ts'
import { parseRegistryPath } from './routes.ts'

test.each([
  ['/v2', { kind: 'base' }],
  ['/v2/', { kind: 'base' }],
  ['/v2/alice.test/app/manifests/latest', { kind: 'manifest', name: 'alice.test/app', reference: 'latest' }],
  [
    '/v2/alice.test/a/b/manifests/sha256%3Aabc',
    { kind: 'manifest', name: 'alice.test/a/b', reference: 'sha256:abc' },
  ],
  ['/v2/alice.test/app/manifests/', { kind: 'manifest', name: 'alice.test/app', reference: '' }],
  ['/v2/alice.test/app/blobs/sha256:abc', { kind: 'blob', name: 'alice.test/app', digest: 'sha256:abc' }],
  ['/v2/alice.test/app/blobs/uploads', { kind: 'uploads', name: 'alice.test/app' }],
  ['/v2/alice.test/app/blobs/uploads/', { kind: 'uploads', name: 'alice.test/app' }],
  ['/v2/alice.test/app/blobs/uploads/xyz', { kind: 'upload', name: 'alice.test/app', uploadId: 'xyz' }],
  ['/v2/alice.test/app/tags/list', { kind: 'tags', name: 'alice.test/app' }],
  [
    '/v2/alice.test/app/referrers/sha256:abc',
    { kind: 'referrers', name: 'alice.test/app', digest: 'sha256:abc' },
  ],
  [
    '/v2/alice.test/blobs/manifests/tags/manifests/v1',
    { kind: 'manifest', name: 'alice.test/blobs/manifests/tags', reference: 'v1' },
  ],
  [
    '/v2/alice.test/app/blobs/uploads/manifests/v1',
    { kind: 'manifest', name: 'alice.test/app/blobs/uploads', reference: 'v1' },
  ],
  ['/v2/../etc/manifests/v1', { kind: 'manifest', name: '../etc', reference: 'v1' }],
  ['/v2/alice.test/app/manifests/%zz', { kind: 'manifest', name: 'alice.test/app', reference: '%zz' }],
])('%s', (path, route) => {
  expect(parseRegistryPath(path)).toEqual(route)
})

test.each(['/v2/_catalog', '/v2/manifests/x', '/v2/alice.test/app', '/v2/alice.test/app/tags', '/v3/', ''])(
  '%j is no endpoint',
  (path) => {
    expect(() => parseRegistryPath(path)).toThrow(OciError)
  },
)

test('whatever the path, it is a route or an error in the registry’s words', () => {
  const piece = fc.constantFrom(
    'manifests',
    'blobs',
    'uploads',
    'tags',
    'list',
    'referrers',
    '..',
    '%2f',
    '%',
    '',
    'a',
  )
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 12 }), (pieces) => {
      try {
        parseRegistryPath(`/v2/${pieces.join('/')}`)
      } catch (error) {
        expect(error).toBeInstanceOf(OciError)
      }
    }),
  )
})
