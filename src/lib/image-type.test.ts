import { expect, test } from 'vitest'

import { imageTypeOf } from './image-type.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

test.each([
  ['\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'image/png'],
  ['\xff\xd8\xff\xe0\0\x10JFIF', 'image/jpeg'],
  ['RIFF\x10\0\0\0WEBPVP8 ', 'image/webp'],
  ['GIF89a\x01\0\x01\0', 'image/gif'],
])('%j is a picture', (head, type) => {
  expect(imageTypeOf(bytes(head))).toBe(type)
})

test.each([
  '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
  '<!doctype html>',
  'RIFF\x10\0\0\0WAVEfmt ',
  '\x89PNG',
  '',
  ' \x89PNG\r\n\x1a\n',
])('%j is none', (head) => {
  expect(imageTypeOf(bytes(head))).toBeUndefined()
})

test('the view of a larger buffer is read where it begins', () => {
  expect(imageTypeOf(bytes('xxxxGIF89a').subarray(4))).toBe('image/gif')
})
