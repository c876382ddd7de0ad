import { expect, test } from 'vitest'

import { UploadCapabilities } from './capabilities.ts'

const capabilities = new UploadCapabilities(Buffer.from('key'))

test('a capability names its upload, and cannot be made up', () => {
  const capability = capabilities.mint('upload_1-x')
  expect(capabilities.verify(capability)).toBe('upload_1-x')
  const mac = capability.slice(capability.lastIndexOf('.') + 1)
  for (const forged of [
    `upload_2-x.${mac}`,
    capability.slice(0, -1),
    `${capability}a`,
    'upload_1-x.',
    'upload_1-x',
    '.',
    '',
  ]) {
    expect(capabilities.verify(forged), forged).toBeUndefined()
  }
  expect(new UploadCapabilities(Buffer.from('other')).verify(capability)).toBeUndefined()
})
