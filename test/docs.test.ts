import { existsSync, globSync, readFileSync } from 'node:fs'

import type { Command } from 'commander'
import { describe, expect, test } from 'vitest'

import { allInOneSettings } from '../src/all-in-one/config.ts'
import { allInOneProgram } from '../src/all-in-one/program.ts'
import { appViewSettings } from '../src/appview/config.ts'
import { appViewProgram } from '../src/appview/program.ts'
import { verbHelps } from '../src/credential-helper/help-texts.ts'
import { holdSettings } from '../src/hold/config.ts'
import { holdProgram } from '../src/hold/program.ts'
import { describeSettings } from '../src/lib/config.ts'
import { createCommand } from '../src/lib/door.ts'

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

/** Every command of a program that does something, with the flags it knows. */
function commandsOf(command: Command, path = command.name()): [name: string, flags: Set<string>][] {
  if (command.commands.length > 0) {
    return command.commands.flatMap((child) => commandsOf(child, `${path} ${child.name()}`))
  }
  return [[path, new Set(command.options.flatMap(({ long }) => long ?? []))]]
}

const commands = new Map([
  ...commandsOf(createCommand(allInOneProgram, {})),
  ...commandsOf(createCommand(holdProgram, {})),
  ...commandsOf(createCommand(appViewProgram, {})),
  ...Object.entries(verbHelps).map(([verb, { options }]): [string, Set<string>] => [
    `docker-credential-atcr ${verb}`,
    new Set(options.map(({ name }) => `--${name}`)),
  ]),
  ...['get', 'store', 'erase', 'list'].map((verb): [string, Set<string>] => [
    `docker-credential-atcr ${verb}`,
    new Set(),
  ]),
])

/** Command lines that a text names and no program knows, word for word up to the first argument. */
function unknownCommands(text: string): string[] {
  const lines = [
    ...text.matchAll(/(?:^|`|&& |\| )((?:atcr|atcr-hold|atcr-appview|docker-credential-atcr) [^`\n#]*)/gm),
  ].map((match) => match[1] as string)
  return lines.filter((line) => {
    const words = line.replace('…', '').trim().split(/\s+/)
    const isGroup = [...commands.keys()].some((name) => name.startsWith(`${words.join(' ')} `))
    if (line.includes('…') && isGroup) return false
    const depth = [4, 3, 2].find((count) => commands.has(words.slice(0, count).join(' ')))
    if (depth === undefined) return words.length > 1
    const known = commands.get(words.slice(0, depth).join(' '))
    return words.some((word) => word.startsWith('--') && known?.has(word) !== true)
  })
}

const settings = new Set(
  [holdSettings, appViewSettings, allInOneSettings].flatMap((declaration) =>
    describeSettings(declaration).map(({ path }) => path),
  ),
)
const sections = new Set([...settings].flatMap((path) => (path.includes('.') ? [path.split('.')[0]] : [])))

/** Settings that a text names, as `section.name` in backticks, and no program has. */
function unknownSettings(text: string): string[] {
  const named = [...text.matchAll(/`([a-z_]+(?:\.[a-z_]+)+)(?=[`:])/g)].map((match) => match[1] as string)
  return named.filter((name) => sections.has(name.split('.')[0]) && !settings.has(name) && !name.endsWith('.key') && !/\.(?:yaml|db)$/.test(name)) // prettier-ignore
}

describe('docs for people who run or use it', () => {
  const pages = globSync(['docs/operating/*.md', 'docs/using/*.md'])

  test('every command, flag and setting that they name exists', () => {
    expect(pages.length).toBeGreaterThanOrEqual(2)
    const texts = pages.map((page) => readFileSync(page, 'utf8'))
    expect(texts.flatMap(unknownCommands)).toEqual([])
    expect(texts.flatMap(unknownSettings)).toEqual([])
  })

  test('what does not exist is seen', () => {
    expect(
      unknownCommands('run `atcr-hold frobnicate now`, or\natcr-hold gc --force\n`atcr-hold key show`'),
    ).toHaveLength(2)
    expect(
      unknownCommands('`docker-credential-atcr login --wait`, `docker-credential-atcr status`'),
    ).toHaveLength(1)
    expect(unknownCommands('`atcr hold gc --force`, `atcr hold key show`, `atcr gc`')).toHaveLength(2)
    expect(
      unknownSettings('set `storage.color` and `storage.path: /x`, not `quota.defaults.new_tier`'),
    ).toHaveLength(2)
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
