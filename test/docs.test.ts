import { existsSync, globSync, readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

/** Goal: the documents stay true. Method: what they name is looked up in the source. */

interface Stop {
  path: string
  symbol: string
}

/** A stop is written `src/…/file.ts` · `symbol`. */
function stopsIn(text: string): Stop[] {
  return [...text.matchAll(/`([\w./-]+\.ts)` · `(\w+)`/g)].map(([, path, symbol]) => ({
    path: path as string,
    symbol: symbol as string,
  }))
}

function missingStops(text: string): string[] {
  return stopsIn(text)
    .filter(
      ({ path, symbol }) =>
        !existsSync(path) || !new RegExp(`\\b${symbol}\\b`).test(readFileSync(path, 'utf8')),
    )
    .map(({ path, symbol }) => `${path} · ${symbol}`)
}

describe('docs/WALKS.md', () => {
  const text = readFileSync('docs/WALKS.md', 'utf8')
  const walks = text.split(/^## /m).slice(1)

  test('every stop exists', () => {
    expect(stopsIn(text).length).toBeGreaterThan(20)
    expect(missingStops(text)).toEqual([])
  })

  test('no walk has more than six stops', () => {
    expect(walks.length).toBeGreaterThanOrEqual(5)
    for (const walk of walks) {
      const rows = walk.split('\n').filter((line) => /^\| \d/.test(line))
      expect(rows.length, walk.split('\n', 1)[0]).toBeGreaterThan(0)
      expect(rows.length, walk.split('\n', 1)[0]).toBeLessThanOrEqual(6)
    }
  })

  test('a stop that does not exist is seen', () => {
    expect(missingStops('`src/lib/log.ts` · `nothingOfThatName`')).toHaveLength(1)
    expect(missingStops('`src/nowhere.ts` · `logger`')).toHaveLength(1)
    expect(missingStops('`src/lib/log.ts` · `logger`')).toEqual([])
  })
})

test('npm scripts that documents name exist', () => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
  const named = globSync(['*.md', 'docs/**/*.md']).flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/npm (?:run ([\w:-]+)|(start|test)\b)/g)].map(
      (match) => match[1] ?? match[2],
    ),
  )
  expect(named.length).toBeGreaterThan(3)
  expect(named.filter((name) => scripts[name as string] === undefined)).toEqual([])
})

test('the README stays short', () => {
  expect(readFileSync('README.md', 'utf8').split('\n').length).toBeLessThanOrEqual(120)
})
