import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { stringify } from 'yaml'
import { z } from 'zod'

import { describeSettings, duration, loadSettings, secret, SettingsError } from './config.ts'
import { settingsYamlLengthMax } from './settings-yaml.ts'

const folder = mkdtempSync(join(tmpdir(), 'settings-'))
afterAll(() => rmSync(folder, { recursive: true }))

const declaration = {
  environmentPrefix: 'X_',
  legacyEnvironment: { OLD_KEY: 'store.key' },
  schema: z.object({
    store: z
      .object({
        key: secret().optional(),
        wait: duration().prefault('1s'),
        open: z.boolean().default(false),
        names: z.array(z.string()).default([]),
        tiers: z.array(z.object({ name: z.string() })).default([]),
      })
      .prefault({}),
  }),
}
const load = (environment: Record<string, string>, yaml?: string) =>
  loadSettings(declaration, { environment, ...(yaml === undefined ? {} : { yaml }) })

function file(name: string, text: string): string {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

describe('values in files', () => {
  test('one newline at the end is not part of them; every setting has the name, older ones too', () => {
    const read = (environment: Record<string, string>) => load(environment).settings.store.key?.reveal()
    expect(read({ X_STORE_KEY_FILE: file('a', 'hush\n') })).toBe('hush')
    expect(read({ X_STORE_KEY_FILE: file('b', 'hush\r\n') })).toBe('hush')
    expect(read({ X_STORE_KEY_FILE: file('c', ' hush\n\n') })).toBe(' hush\n')
    expect(read({ OLD_KEY_FILE: file('d', 'old') })).toBe('old')
    expect(read({ OLD_KEY: 'old', X_STORE_KEY_FILE: file('e', 'new') })).toBe('new')
    expect(load({ X_STORE_NAMES_FILE: file('f', 'a,b\n') }).settings.store.names).toEqual(['a', 'b'])
  })

  test('a value and a file of it are too much, a file that is not there too little; empty is absent', () => {
    const path = file('g', 'x')
    expect(() => load({ X_STORE_KEY: 'x', X_STORE_KEY_FILE: path })).toThrow(
      'X_STORE_KEY and X_STORE_KEY_FILE are both set',
    )
    expect(() => load({ X_STORE_KEY_FILE: join(folder, 'none') })).toThrow(
      /X_STORE_KEY_FILE: cannot read .*none/,
    )
    expect(() => load({ X_STORE_KEY_FILE: folder })).toThrow(/X_STORE_KEY_FILE: cannot read/)
    expect(() => load({ X_STORE_KEY_FILE: file('big', 'x'.repeat(100_000)) })).toThrow(
      'more than 65536 bytes',
    )
    expect(load({ X_STORE_KEY: '', X_STORE_KEY_FILE: path }).settings.store.key?.reveal()).toBe('x')
    expect(load({ X_STORE_KEY: 'x', X_STORE_KEY_FILE: '' }).settings.store.key?.reveal()).toBe('x')
  })

  test('no setting has the name of the file of another', () => {
    const names = new Set(describeSettings(declaration).map(({ environment }) => environment))
    for (const name of names) expect(names.has(`${name}_FILE`)).toBe(false)
  })
})

test('names in the environment that mean nothing are told, with what was meant', () => {
  expect(
    load({ X_STORE_KEE: 'x', X_STORE_KEY_FIEL: 'y', Y_STORE: 'z', X_SOMETHING_ELSE: '1' }).notices,
  ).toEqual([
    'X_STORE_KEE in the environment is no setting; did you mean X_STORE_KEY?',
    'X_STORE_KEY_FIEL in the environment is no setting; did you mean X_STORE_KEY_FILE?',
    'X_SOMETHING_ELSE in the environment is no setting',
  ])
})

test('keys in sections and lists are known or told', () => {
  expect(() => load({}, 'store: { opne: true, tiers: [{ name: a, nmae: b }] }\nwait: 1s\n')).toThrow(
    /store\.opne: unknown setting; did you mean store\.open\?\n.*store\.tiers\.0\.nmae: unknown setting; did you mean store\.tiers\.0\.name\?\n.*wait: unknown setting; did you mean store\.wait\?/,
  )
  expect(() => load({ X_STORE_OPEN: 'true' }, 'store: 3')).toThrow(
    'store: expected a section with settings, got 3',
  )
})

describe('whatever the file holds', () => {
  /** Reads a text; anything but settings or their problems fails the test. */
  const survive = (yaml: string, environment: Record<string, string> = {}) => {
    try {
      load(environment, yaml)
    } catch (error) {
      expect(error).toBeInstanceOf(SettingsError)
      expect((error as SettingsError).problems.length).toBeGreaterThan(0)
    }
  }

  test('any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => survive(text)),
      { numRuns: 150 },
    )
    const yamlish = fc.string({
      unit: fc.constantFrom(...Array.from('store:\n -[]{}&*a!?|>"\'#%@`,\t0.e~<')),
      maxLength: 120,
    })
    fc.assert(
      fc.property(yamlish, (text) => survive(text)),
      { numRuns: 300 },
    )
  })

  test('any value at any place, from the file and the environment', () => {
    const key = fc.constantFrom(
      'store',
      'wait',
      'open',
      'names',
      'tiers',
      'key',
      '__proto__',
      'constructor',
      'toString',
    )
    const value = fc.anything({ maxDepth: 4, key, withBigInt: false })
    fc.assert(
      fc.property(value, value, (store, top) => survive(stringify({ store, top }))),
      { numRuns: 300 },
    )
    const name = fc.constantFrom(
      'X_STORE_WAIT',
      'X_STORE_OPEN',
      'X_STORE_NAMES',
      'X_STORE_TIERS',
      'X_STORE_KEY',
    )
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('constructor', '5 constructor', '__proto__', '[', '&a [*a]'),
    )
    fc.assert(
      fc.property(fc.dictionary(name, text), (environment) => survive('', environment)),
      { numRuns: 150 },
    )
    expect(() => load({ X_STORE_WAIT: '5 constructor' })).toThrow('a duration such as 15m')
    expect(() => load({ X_STORE_OPEN: 'constructor' })).toThrow('store.open')
  })

  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]', ...'bcdefghij'.split('').map((name, index) => `${name}: &${name} [${Array.from({ length: 9 }, () => `*${'abcdefghij'[index]}`).join()}]`)].join('\n') // prettier-ignore
  test.each([
    ['an alias bomb', bomb],
    ['an anchor in itself', 'store: &a { names: *a }'],
    ['lists in lists', '['.repeat(100_000)],
    ['lists in lists, a line each', '[\n'.repeat(100_000)],
    ['lists in lists as blocks', '- '.repeat(100_000)],
    ['keys in keys', '? '.repeat(100_000)],
    [
      'mappings, each further in',
      Array.from({ length: 600 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    ],
    ['mappings in mappings', '{a: '.repeat(50_000)],
    ['the same key twice', 'store: {}\nstore: {}'],
    ['a merge of itself', 'a: &a\n  <<: *a'],
    ['what is huge', `store:\n  key: ${'x'.repeat(settingsYamlLengthMax)}`],
    ['several documents', 'a: 1\n---\nb: 2'],
    ['a list', '- 1'],
    ['a tag of some language', 'store: !!js/function "function () {}"\nother: 1'],
  ])('%s is refused in a sentence', (_, yaml) => {
    expect(() => load({}, yaml)).toThrow(SettingsError)
  })
})
