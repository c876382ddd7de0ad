import { expect, test } from 'vitest'

import { formatSize } from './format-size.ts'
import { cleanText, formatAge, formatCount, formatTime, shortDigest } from './format.ts'

test('sizes are short and never print a thousand', () => {
  const sizes = [0, 1, 999, 1000, 1449, 9949, 9950, 12_345, 999_499, 999_500, 1_500_000_000, 2 ** 53]
  expect(sizes.map(formatSize)).toEqual(
    ['0 B', '1 B', '999 B', '1.0 kB', '1.4 kB', '9.9 kB', '10 kB', '12 kB', '999 kB', '1.0 MB', '1.5 GB', '9.0 PB'], // prettier-ignore
  )
})

test('ages are in the largest unit that fits', () => {
  const now = new Date('2026-11-22T10:00:00Z')
  const ago = (seconds: number) => formatAge(new Date(now.getTime() - seconds * 1000), now)
  expect([ago(-5), ago(0), ago(59), ago(60), ago(3599), ago(3600), ago(90_000), ago(8 * 86_400)]).toEqual([
    'just now',
    'just now',
    'just now',
    '1 minute ago',
    '59 minutes ago',
    '1 hour ago',
    '1 day ago',
    '1 week ago',
  ])
  expect(ago(400 * 86_400)).toBe('1 year ago')
  expect(formatTime(now)).toBe('22 November 2026 at 10:00 UTC')
})

test('digests keep their algorithm, counts their grammar', () => {
  expect(shortDigest(`sha512:${'ab'.repeat(64)}`)).toBe('sha512:abababababab')
  expect([formatCount(0, 'tag'), formatCount(1, 'tag'), formatCount(1024, 'tag')]).toEqual([
    '0 tags',
    '1 tag',
    '1,024 tags',
  ])
})

test('what a stranger writes cannot turn, hide or stretch a line', () => {
  expect(cleanText('a\u202Egpj.exe', 50)).toBe('a\ufffdgpj.exe')
  expect(cleanText('x\u0000\u001by\u200bz\u2066', 50)).toBe('x\ufffd\ufffdy\ufffdz\ufffd')
  // Of what is cut anyway no more than a piece is read.
  expect(cleanText(`${'x'.repeat(1000)}\u202e`.repeat(1000), 3)).toBe('xx…')
  expect(cleanText(`a${' '.repeat(100)}b`, 3)).toBe('a')
  expect(cleanText('  two\n\tlines  ', 50)).toBe('two lines')
  expect(cleanText('é👩‍🚀 ليل', 50)).toBe('é👩‍🚀 ليل')
  expect(cleanText('👩👩👩👩', 3)).toBe('👩👩…')
})
