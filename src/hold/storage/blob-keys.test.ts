import { expect, test } from 'vitest'

import { digestOfBytes } from '../../protocol/oci/digest.ts'
import { blobKey, digestOfKey, uploadKey } from './blob-keys.ts'

test('keys are laid out as the Distribution registry has them', () => {
  const digest = digestOfBytes(Buffer.from('hello'))
  const hex = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
  expect(blobKey(digest)).toBe(`docker/registry/v2/blobs/sha256/2c/${hex}/data`)
  expect(uploadKey('abc')).toBe('uploads/abc/data')
})

test('a key tells its digest, in both algorithms', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const digest = digestOfBytes(Buffer.from('x'), algorithm)
    expect(digestOfKey(blobKey(digest))).toBe(digest)
  }
  for (const other of [
    uploadKey('abc'),
    'docker/registry/v2/blobs/sha256/aa/bb/data',
    'docker/registry/v2/repositories/x',
  ]) {
    expect(digestOfKey(other)).toBeUndefined()
  }
})
