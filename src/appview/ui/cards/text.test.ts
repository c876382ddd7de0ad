import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

import { expect, test } from 'vitest'

import { cardSvg } from './card-svg.ts'
import { readFont } from './font.ts'
import { cut, showable, widthOf, wrap } from './text.ts'

const { resolve } = createRequire(import.meta.url)
const font = readFont(readFileSync(resolve('@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf')))

test('widths are those of the font: an m is wider than an i, and twice the size is twice as wide', () => {
  expect(widthOf(font, 'm', 40)).toBeGreaterThan(widthOf(font, 'i', 40) * 2)
  expect(widthOf(font, 'image', 80)).toBeCloseTo(widthOf(font, 'image', 40) * 2)
  expect(font.widthOf('Ж'.codePointAt(0) as number)).toBeGreaterThan(0)
  expect(font.widthOf('日'.codePointAt(0) as number)).toBeUndefined()
})

test('what the font lacks is left out; a text in a script it lacks altogether', () => {
  expect(showable(font, 'ships 🚀 containers 🐳 fast')).toBe('ships containers fast')
  expect(showable(font, 'Проверка, Ελληνικά, tiếng Việt')).toBe('Проверка, Ελληνικά, tiếng Việt')
  expect(showable(font, '日本語の説明')).toBeUndefined()
  expect(showable(font, '🚀')).toBeUndefined()
  expect(showable(font, '')).toBeUndefined()
})

test.each([
  [
    'words',
    'a small web server that says hello to everyone who comes along and asks for nothing else at all',
  ],
  ['one endless name', 'x'.repeat(400)],
  ['a path', 'team/backend/services/authentication-and-authorisation-gateway/and/one/more'],
  ['wide ones', 'W'.repeat(100)],
])('lines keep to their width: %s', (_, text) => {
  const lines = wrap(font, text, { width: 500, size: 40, lineCountMax: 2 })
  expect(lines).toHaveLength(2)
  for (const line of lines) expect(widthOf(font, line, 40)).toBeLessThanOrEqual(500)
  expect(lines.at(-1)).toMatch(/…$/)
  expect(text.startsWith(lines[0] ?? '')).toBe(true)
})

test('what fits stays whole', () => {
  expect(wrap(font, 'a web server', { width: 500, size: 40, lineCountMax: 2 })).toEqual(['a web server'])
  expect(wrap(font, '', { width: 500, size: 40, lineCountMax: 2 })).toEqual([])
  expect(cut(font, 'a web server', { width: 500, size: 40 })).toBe('a web server')
})

test('text of strangers is text in the picture, too', async () => {
  const svg = await cardSvg(
    {
      above: '</text><script>',
      names: ['日本', 'a&b'],
      description: '"><image href="file:///etc/passwd"/>',
      facts: ['<b>'],
      host: 'registry.example',
      brand: { name: '</text><script>', accent: '#7cc0ee', hasShip: true },
    },
    { regular: font, bold: font },
  )
  expect(svg).not.toMatch(/<script|<image|<b>/)
  expect(svg).toContain('a&amp;b')
})
