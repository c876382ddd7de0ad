import fc from 'fast-check'
import { expect, test } from 'vitest'

import { jsonLines } from './json-lines.ts'

const whole = { textLengthMax: 1e9, lineLength: 0 }
const printed = (text: string) =>
  jsonLines(text, whole)
    .lines.map(({ indent, tokens }) => ' '.repeat(indent) + tokens.map((token) => token.text).join(''))
    .join('\n')

test('prints as JSON.stringify does, and every token as it was', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 4, stringUnit: 'grapheme-ascii' }), (text) => {
      const long = /"[^"]{300,}/.test(text)
      if (!long) expect(printed(text)).toBe(JSON.stringify(JSON.parse(text), null, 2))
    }),
  )
  expect(printed('{"a":1.50e+1,"a":"\\u0041","b":{},"c":[],"d":[[1]]}')).toBe(
    '{\n  "a": 1.50e+1,\n  "a": "\\u0041",\n  "b": {},\n  "c": [],\n  "d": [\n    [\n      1\n    ]\n  ]\n}',
  )
})

test('keys, texts and numbers are told apart', () => {
  const [, line] = jsonLines('{"a":1,"b":"c"}', whole).lines
  expect(line?.tokens.map(({ kind }) => kind)).toEqual(['key', 'punctuation', 'other', 'punctuation'])
})

test.each(['', '{', '}}}}', '[[[', '"open', 'a,b', '{"a":}', ':::', '\u202e"'])(
  '%j is printed, whatever it is',
  (text) => {
    expect(jsonLines(text, whole).isCut).toBe(false)
  },
)

test('ends in time, however deep and long', () => {
  const limits = { textLengthMax: 10_000, lineLength: 50 }
  for (const text of [
    '['.repeat(1e6),
    '{"a":"x"},'.repeat(1e5),
    `"${'x'.repeat(1e6)}",`.repeat(3),
    ','.repeat(1e6),
  ]) {
    const { lines } = jsonLines(text, limits)
    expect(lines.length).toBeLessThan(300)
    expect(JSON.stringify(lines).length).toBeLessThan(60_000)
    expect(Math.max(...lines.map(({ indent }) => indent))).toBeLessThanOrEqual(40)
  }
})

test('nothing unseen is left', () => {
  expect(printed('"a\u202eb\u200b"')).toBe('"a\ufffdb\ufffd"')
})
