import { expect, test } from 'vitest'

import { readAbout, webAddress } from './annotations.ts'

const key = (name: string) => `org.opencontainers.image.${name}`

test('known keys have names, in one order, annotations before labels', () => {
  const { about, annotations, labels } = readAbout(
    { [key('licenses')]: 'MIT', [key('source')]: 'https://github.com/a/b.git', other: 'x' },
    [
      { name: key('licenses'), text: 'GPL' },
      { name: key('revision'), text: 'a'.repeat(40) },
      { name: 'team', text: 'y' },
    ],
  )
  expect(about).toEqual([
    { label: 'Source', text: 'https://github.com/a/b.git', href: 'https://github.com/a/b.git' },
    { label: 'Revision', text: 'a'.repeat(40), href: `https://github.com/a/b/commit/${'a'.repeat(40)}` },
    { label: 'Licences', text: 'MIT', href: undefined },
  ])
  expect(annotations).toEqual({ items: [{ name: 'other', text: 'x' }], moreCount: 0 })
  expect(labels).toEqual({ items: [{ name: 'team', text: 'y' }], moreCount: 0 })
})

test('a revision is a link only where its page is known', () => {
  const revision = (source: string, text: string) =>
    readAbout({ [key('source')]: source, [key('revision')]: text }, []).about.at(-1)?.href
  expect(revision('https://git.example/a/b', 'a'.repeat(40))).toBe(undefined)
  expect(revision('https://github.com/a/b', 'main')).toBe(undefined)
  expect(revision('javascript:alert(1)', 'a'.repeat(40))).toBe(undefined)
})

test.each([
  ['javascript:alert(1)'],
  ['data:text/html,x'],
  ['//example.org'],
  ['https://'],
  ['https://github.com@evil.example/'],
  [' https://example.org'],
  ['https://example.org/cut…'],
  ['ftp://example.org'],
])('%s is no link', (text) => {
  expect(webAddress(text)).toBe(undefined)
})

test('web addresses are links', () => {
  expect(webAddress('https://example.org')).toBe('https://example.org/')
  expect(webAddress('HTTP://example.org/a?b#c')).toBe('http://example.org/a?b#c')
})

test('many and long ones are cut', () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, 'v'.repeat(2_000)]))
  const { annotations } = readAbout(many, [])
  expect([annotations.items.length, annotations.moreCount]).toEqual([23, 77])
  expect(annotations.items[0]?.text).toHaveLength(300)
})
