/**
 * What must not come back: the ban list of STYLE.md, files that nothing uses, pages that nothing links to, links
 * that lead nowhere. Reads the sources as text; an exception is named here, with its reason.
 */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'

import { appViewSettings } from '../src/appview/config.ts'
import { holdSettings } from '../src/hold/config.ts'
import { describeSettings } from '../src/lib/config.ts'
import { describe, expect, test } from 'vitest'

interface Ban {
  what: string
  pattern: RegExp
  /** Files the ban is about. */
  where: (file: string) => boolean
  /** Files that may, and why. */
  except?: Record<string, string>
}

const inSources = (file: string) => file.startsWith('src/') && !file.endsWith('.test.ts')
const everywhere = () => true
const isDoor = (file: string) => /^src\/[a-z-]+\/main\.ts$/.test(file)

const bans: Ban[] = [
  {
    what: 'raw fetch: take one as an argument; outbound-fetch.ts makes them',
    pattern: /\bglobalThis\.fetch\s*\(|(?<![.\w#])fetch\s*\(/,
    where: (file) => inSources(file) && !file.startsWith('src/credential-helper/'),
    except: {
      'src/atproto/outbound-fetch.ts': 'the one place',
      'src/lib/log-shipper.ts': 'the log store is of the operator, who names it; it is in his own network',
    },
  },
  {
    what: 'process.env outside a door: settings are passed in',
    pattern: /\bprocess\.env\b/,
    where: (file) => inSources(file) && !isDoor(file),
  },
  {
    what: 'console: use the logger',
    pattern: /\bconsole\./,
    where: (file) => inSources(file) && !file.startsWith('src/credential-helper/'),
  },
  {
    what: 'new Date() or Date.now(): time is an argument, `now`',
    pattern: /\bnew Date\(\s*\)|\bDate\.now\(\)/,
    where: inSources,
    except: { 'src/lib/clock.ts': 'where time comes from' },
  },
  { what: 'any', pattern: /(?::|<|\bas|=>|\|)\s*any\b(?!\s*[A-Za-z])|\bany\[\]/, where: everywhere },
  {
    what: 'as unknown as',
    pattern: /\bas unknown as\b/,
    where: everywhere,
    except: {
      'src/lib/config.ts': 'zod and yaml type their trees more narrowly than they are',
      'src/atproto/syntax.ts': 'groups of a match that cannot be absent',
      'test/network/jetstream-log.ts': 'rows of node:sqlite have no types',
    },
  },
  { what: 'FIXME or XXX: write an issue', pattern: /\b(?:FIXME|XXX)\b/, where: everywhere },
  { what: 'a TODO without its issue', pattern: /\bTODO\b(?!\(#\d+\))/, where: everywhere },
  {
    what: 'an attribute without quotes in a template: escaping relies on them',
    pattern: /<[^>`]*\s[a-z-]+=\$\{/,
    where: inSources,
  },
  {
    what: 'raw(: text that is not escaped',
    pattern: /(?<![.\w])raw\(/,
    where: inSources,
  },
]

/** The tests of the bans name what they ban. */
const isAboutBans = (file: string) => file === 'test/tidy.test.ts' || file === 'test/architecture.test.ts'
const isGenerated = (file: string) => file.startsWith('src/protocol/lexicon/generated/')

const files = globSync(['src/**/*.ts', 'test/**/*.ts', 'scripts/**/*.ts']).filter(
  (file) => !isGenerated(file),
)
const sources = new Map(files.map((file) => [file, readFileSync(file, 'utf8')]))

/** Whole-line comments go, and comments after code: a ban is about what runs. */
function code(text: string): string[] {
  return text
    .split('\n')
    .map((line) => (/^\s*(?:\/\/|\/?\*)/.test(line) ? '' : line.replace(/\s\/\/\s.*$/, '')))
}

/** `fetch(` is a call of an argument, not of the global, where the file names one so. */
const hasOwnFetch = (text: string) =>
  /\bfetch\b\s*(?:[?]?:|,|\}|=[^>=])/.test(text) || /\bfetch\s*\([^)]*\)\s*(?::[^={]+)?\{/.test(text)

function findings(ban: Ban, file: string, text: string): string[] {
  if (!ban.where(file) || file in (ban.except ?? {})) return []
  if (ban.what.startsWith('raw fetch') && hasOwnFetch(text)) return []
  const lines = ban.what.includes('TODO') || ban.what.includes('FIXME') ? text.split('\n') : code(text)
  return lines.flatMap((line, index) =>
    ban.pattern.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [],
  )
}

describe('banned', () => {
  test.each(bans)('$what', (ban) => {
    const found = [...sources].flatMap(([file, text]) => (isAboutBans(file) ? [] : findings(ban, file, text)))
    expect(found).toEqual([])
  })

  test.each([
    ['raw fetch', 'src/appview/services/x.ts', 'const answer = await fetch(url)'],
    ['raw fetch', 'src/appview/services/x.ts', 'const answer = await globalThis.fetch(url)'],
    ['process.env', 'src/hold/services/x.ts', "const key = process.env['KEY']"],
    ['console', 'src/hold/services/x.ts', "console.log('x')"],
    ['new Date()', 'src/hold/services/x.ts', 'const now = new Date()'],
    ['any', 'src/hold/services/x.ts', 'function x(value: any) {'],
    ['any', 'src/hold/services/x.ts', 'const x = value as any'],
    ['as unknown as', 'test/x.test.ts', 'const x = y as unknown as Z'],
    ['FIXME', 'scripts/x.ts', '// FIXME later'],
    ['TODO', 'scripts/x.ts', '// TODO later'],
    ['attribute', 'src/appview/ui/pages/x.ts', 'html`<a class="x" href=${url}>`'],
    ['raw(', 'src/appview/ui/pages/x.ts', 'return raw(text)'],
  ])('%s is seen in %s: %s', (what, file, text) => {
    const seen = bans.filter((ban) => findings(ban, file, text).length > 0)
    expect(seen.map((ban) => ban.what).join()).toContain(what)
  })

  test.each([
    ['src/appview/services/x.ts', 'const answer = await this.fetch(url)'],
    ['src/appview/services/x.ts', 'export const x = ({ fetch }: { fetch: Fetch }) => fetch(url)'],
    ['src/hold/services/x.ts', 'const now = new Date(text)'],
    ['src/hold/services/x.ts', '// any of these; console.log is banned'],
    ['src/appview/ui/pages/x.ts', 'html`<a href="${url}?n=${n}">`'],
    ['src/appview/ui/pages/x.ts', 'const next = `/search?q=${query}&page=${page}`'],
  ])('nothing is seen in %s: %s', (file, text) => {
    expect(bans.flatMap((ban) => findings(ban, file, text))).toEqual([])
  })

  test('exceptions are still needed', () => {
    const idle = bans.flatMap((ban) =>
      Object.keys(ban.except ?? {}).filter((file) => {
        const text = sources.get(file)
        return text !== undefined && !code(text).some((line) => ban.pattern.test(line))
      }),
    )
    expect(idle).toEqual([])
  })

  test('files named after nothing', () => {
    const banned = /^(?:utils?|helpers?|common|misc|index|types)\.ts$/
    expect(files.filter((file) => banned.test(basename(file)))).toEqual([])
  })
})

test('every source file is used by another, or is a door', () => {
  const used = new Set<string>()
  for (const [file, text] of sources) {
    if (file.endsWith('.test.ts')) continue
    for (const [, specifier] of text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"](\.[^'"]+)['"]/g)) {
      used.add(normalize(join(dirname(file), specifier ?? '')))
    }
  }
  const orphans = files.filter((file) => inSources(file) && !isDoor(file) && !used.has(file))
  expect(orphans).toEqual([])
})

describe('pages', () => {
  const pages = globSync('**/*.md', { exclude: ['node_modules/**', 'data/**', '**/node_modules/**'] })
  /** Links of a page to files of ours, without code and without anchors; from the root. */
  const linksOf = (page: string): string[] => {
    const text = readFileSync(page, 'utf8').replaceAll(/```[\s\S]*?```|`[^`\n]*`/g, '')
    return [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\[[^\]]+\]:\s*(\S+)|<img[^>]*\ssrc="([^"]+)"/gm)]
      .map(([, inline, reference, image]) => inline ?? reference ?? image ?? '')
      .filter((link) => !/^(?:[a-z]+:|#|\/\/)/.test(link))
      .map((link) => normalize(join(dirname(page), decodeURI(link.replace(/[?#].*$/, '')))))
  }

  test('links lead somewhere', () => {
    const dead = pages.flatMap((page) =>
      linksOf(page)
        .filter((target) => !existsSync(target))
        .map((target) => `${page}: ${target}`),
    )
    expect(dead).toEqual([])
  })

  test('every page is linked from another', () => {
    const linked = new Set(pages.flatMap((page) => linksOf(page).filter((target) => target !== page)))
    // A link to a folder shows all that is in it.
    const isLinked = (page: string) =>
      linked.has(page) || linked.has(`${dirname(page)}/`) || linked.has(dirname(page))
    expect(pages.filter((page) => page !== 'README.md' && !isLinked(page))).toEqual([])
  })
})

describe('settings', () => {
  test.each([
    ['appview', appViewSettings],
    ['hold', holdSettings],
  ])('every setting of the %s is read somewhere', (room, declaration) => {
    // What both rooms read in one place counts for both.
    const common = ['src/lib/libsql-database.ts', 'src/lib/log-shipper.ts']
    const code = [...globSync(`src/${room}/**/*.ts`), ...common]
      .filter((file) => !file.endsWith('.test.ts'))
      .map((file) => readFileSync(file, 'utf8'))
      // The declaration itself does not count, the functions below it do.
      .map((text) => text.slice(Math.max(0, text.indexOf('satisfies SettingsDeclaration'))))
      .join('\n')
    // `log_level` and `version` are the door's and the reader's own.
    const names = describeSettings(declaration).map(({ path }) => path.split('.').at(-1) as string)
    const unread = names.filter(
      (name) => !['log_level', 'version'].includes(name) && !new RegExp(`\\b${name}\\b`).test(code),
    )
    expect(unread).toEqual([])
  })
})
