import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { parseStrictJson, StrictJsonError } from './strict-json.ts'

const parse = (text: string) => parseStrictJson(new TextEncoder().encode(text), { depthMax: 1000 })

test('reads what JSON.parse reads, when no key comes twice', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.nat(4), (json, spaces) => {
      const text = JSON.stringify(JSON.parse(json), null, spaces)
      expect(parse(text)).toEqual(JSON.parse(text))
    }),
  )
})

test('refuses what JSON.parse refuses', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...Array.from('{}[]",:1.e\\u0 a')) }), (text) => {
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      try {
        parse(text)
        expect(isJson).toBe(true)
      } catch (error) {
        expect(error).toBeInstanceOf(StrictJsonError)
      }
    }),
    { numRuns: 2000 },
  )
})

test('counts levels exactly', () => {
  const options = { depthMax: 3 }
  const encode = (text: string) => new TextEncoder().encode(text)
  expect(parseStrictJson(encode('[[[]]]'), options)).toEqual([[[]]])
  expect(() => parseStrictJson(encode('[[[[]]]]'), options)).toThrow('nested deeper than 3 levels')
})

test('a key named like a property of every object is an ordinary key', () => {
  expect(Object.keys(parse('{"__proto__":1,"constructor":2}') as object)).toEqual([
    '__proto__',
    'constructor',
  ])
})
