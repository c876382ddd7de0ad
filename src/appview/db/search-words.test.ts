import { expect, test } from 'vitest'

import { wordsOf } from './search-words.ts'

test('words are letters and digits, without case and accents, each once', () => {
  expect(wordsOf('Ünïted my-App, my app 2.0 ß')).toEqual(['united', 'my', 'app', '2', '0', 'ss'])
  expect(wordsOf('日本 x')).toEqual(['日', '本', 'x'])
})

test('of a text as long as an annotation may be only the beginning is read', () => {
  expect(wordsOf(`first ${'-'.repeat(4000)} last`)).toEqual(['first'])
  // Marks that have to change places: a megabyte of them would take minutes.
  expect(wordsOf(`a${'\u0301\u0316'.repeat(250_000)} last`)).toEqual(['a'])
})
