/**
 * Who may import whom: the floors, the inside of the rooms, and which npm package is used where. It reads the
 * sources as text, so that it depends on no compiler. A folder or file without a rule is a failure: decide first.
 */
import { globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, normalize } from 'node:path'

import { expect, test } from 'vitest'

const lib = ['src/lib']
const protocol = [...lib, 'src/protocol']
const floors = [...protocol, 'src/atproto', 'src/http']
/** Without the web server: what decides must not know how it is asked. */
const inner = [...protocol, 'src/atproto']
const web = ['npm:hono', 'npm:@hono/node-server']
/** Lexicon types and ATProto's data model, for those who speak it. */
const lexicons = ['npm:@atproto/lex']

/** The same inside for both big rooms; `type:` allows only `import type`. */
const edge = (room: string) => [
  ...floors,
  ...web,
  `${room}/services`,
  `${room}/errors.ts`,
  `${room}/metrics.ts`,
  `type:${room}/context.ts`,
  `type:${room}/ports`,
]
const worker = (room: string) => [
  ...inner,
  `${room}/services`,
  `${room}/read-model`,
  `${room}/db`,
  `${room}/errors.ts`,
  `${room}/metrics.ts`,
  `type:${room}/ports`,
]
const service = (room: string) => [
  ...inner,
  `${room}/ports`,
  `${room}/read-model`,
  `${room}/db`,
  `${room}/errors.ts`,
  `${room}/metrics.ts`,
  'type:npm:kysely',
]
/** The shapes of rows are words of the room; the tables behind them are not a driver's business. */
const driver = (room: string) => [...inner, `${room}/ports`, `${room}/errors.ts`, `type:${room}/db`]
/** What tells operators how a program is: it looks at every part and changes none. */
const operation = (room: string) => [
  ...inner,
  `${room}/db`,
  `${room}/metrics.ts`,
  `type:${room}/context.ts`,
  'npm:kysely',
]
const database = [...protocol, 'type:src/atproto/syntax.ts', 'npm:kysely']
const settings = [...lib, 'npm:zod']

const appview = 'src/appview'
const hold = 'src/hold'

/** First match wins. A folder may import from itself and from what is named here, nothing else. */
const rules: [place: string, mayImport: string[]][] = [
  ['src/lib/config.ts', [...lib, 'npm:yaml', 'npm:zod']],
  ['src/lib/libsql-database.ts', [...lib, 'npm:libsql', 'type:npm:kysely']],
  ['src/lib/settings-environment.ts', [...lib, 'npm:zod']],
  ['src/lib/settings-reload.ts', [...lib, 'type:npm:zod']],
  ['src/lib/settings-tree.ts', [...lib, 'npm:zod']],
  ['src/lib/settings-types.ts', [...lib, 'npm:zod']],
  ['src/lib/settings-yaml.ts', [...lib, 'npm:yaml']],
  ['src/lib/database.ts', [...lib, 'npm:kysely', 'npm:pg']],
  ['src/lib/command-help.ts', ['type:npm:commander']],
  ['src/lib/database-lock.ts', [...lib, 'npm:kysely']],
  ['src/lib/durable-sqlite.ts', [...lib, 'npm:kysely']],
  ['src/lib/log.ts', [...lib, 'npm:pino']],
  ['src/lib/metrics.ts', ['npm:@prometheus-io/client']],
  ['src/lib/operation-settings.ts', [...lib, 'npm:zod']],
  ['src/lib/door.ts', [...lib, 'npm:commander', 'type:npm:zod']],
  ['src/lib', []],

  ['src/protocol/lexicon/generated', lexicons],
  ['src/protocol/lexicon', [...lib, 'src/protocol/oci', ...lexicons]],
  ['src/protocol/oci', lib],
  ['src/protocol/device', lib],

  [
    'src/atproto',
    [
      ...protocol,
      ...lexicons,
      'npm:@atcute/jetstream',
      'npm:@atcute/xrpc-server',
      'npm:@atproto-labs/fetch-node',
      'npm:@atproto/common-web',
      'npm:@atproto/crypto',
      'npm:@atproto/lex-cbor',
      'npm:@atproto/oauth-client-node',
      'npm:@atproto/identity',
      'npm:@atproto/sync',
      'npm:@atproto/syntax',
      'npm:ws',
    ],
  ],
  // It mounts any lexicon's methods and knows none of ours: hence no `protocol`.
  ['src/http', [...lib, ...web, ...lexicons]],

  [`${appview}/main.ts`, [...lib, `${appview}/program.ts`]],
  [
    `${appview}/program.ts`,
    [...lib, `${appview}/start.ts`, `${appview}/config.ts`, `${appview}/commands`, `${appview}/ui/brand.ts`],
  ],
  // Settings become pages and pictures here.
  [`${appview}/ui/brand.ts`, [...lib, 'type:src/http/assets.ts', `type:${appview}/config.ts`]],
  // Doors beside `serve`.
  [`${appview}/commands`, [...lib, `${appview}/services`, `${appview}/config.ts`, 'type:npm:commander']],
  [
    `${appview}/start.ts`,
    [
      ...lib,
      'src/http',
      ...['app.ts', 'config.ts', 'context.ts', 'operation'].map((it) => `${appview}/${it}`),
    ],
  ],
  [`${appview}/config.ts`, settings],
  [`${appview}/errors.ts`, lib],
  [`${appview}/metrics.ts`, lib],
  [`${appview}/operation`, operation(appview)],
  [
    `${appview}/context.ts`,
    [
      ...inner,
      ...['clients', 'db', 'indexer', 'jobs', 'ports', 'read-model', 'services'].map(
        (it) => `${appview}/${it}`,
      ),
      `${appview}/config.ts`,
      `${appview}/errors.ts`,
    ],
  ],
  [
    `${appview}/app.ts`,
    [
      ...floors,
      ...web,
      ...['registry', 'auth', 'ui'].map((it) => `${appview}/${it}`),
      `${appview}/errors.ts`,
      `type:${appview}/context.ts`,
    ],
  ],
  [`${appview}/registry`, edge(appview)],
  // The token endpoint answers registry clients, in the registry's words.
  [`${appview}/auth`, [...edge(appview), `${appview}/registry/errors.ts`]],
  [
    `${appview}/ui/pages`,
    [
      'src/http/forms.ts',
      'src/http/html.ts',
      'src/http/login-form.ts',
      'src/http/page-parts.ts',
      'src/protocol',
      'src/lib',
      `${appview}/ui`,
    ],
  ],
  // A stranger's Markdown becomes HTML in one place.
  [
    `${appview}/ui/markdown`,
    [...lib, 'src/http/html.ts', 'npm:marked', 'npm:sanitize-html', 'npm:highlight.js'],
  ],
  [`${appview}/ui/feeds`, [...edge(appview), `${appview}/ui`]],
  [`${appview}/ui/cards`, [...edge(appview), `${appview}/ui`, 'npm:@resvg/resvg-wasm']],
  // The query side of a page: rows in, view out. Where there is nothing to decide it asks the database itself.
  [
    `${appview}/ui/views`,
    [...inner, `${appview}/errors.ts`, `${appview}/services`, `${appview}/db`, `${appview}/ui/avatars.ts`],
  ],
  [`${appview}/ui`, edge(appview)],
  [`${appview}/indexer`, worker(appview)],
  [`${appview}/jobs`, worker(appview)],
  // The one place that signs and reads JWTs of ours.
  [`${appview}/services/registry-tokens.ts`, [`${appview}/services`, ...service(appview), 'npm:jose']],
  [`${appview}/services`, service(appview)],
  [`${appview}/read-model`, [...inner, `${appview}/db`]],
  [`${appview}/ports`, [...inner, `type:${appview}/errors.ts`, `type:${appview}/db`]],
  // What several AppViews share, and nothing else of Redis.
  [`${appview}/clients/redis-rate-counter.ts`, [...lib, 'npm:@redis/client']],
  [`${appview}/clients`, [...driver(appview), ...lexicons]],
  [`${appview}/db`, database],

  [`${hold}/main.ts`, [...lib, `${hold}/program.ts`]],
  [`${hold}/program.ts`, [...lib, `${hold}/start.ts`, `${hold}/config.ts`, `${hold}/commands`]],
  // It listens for the one visit of an owner.
  [
    `${hold}/commands/register.ts`,
    [
      ...lib,
      ...web,
      'src/http',
      `${hold}/commands`,
      `${hold}/web`,
      `type:${hold}/config.ts`,
      `type:${hold}/services`,
      'type:npm:commander',
    ],
  ],
  // Doors beside `serve`: they open the parts of a hold, or ask the one that runs.
  [
    `${hold}/commands`,
    [
      ...inner,
      ...['services', 'pds', 'jobs', 'storage', 'db', 'ports', 'control', 'wiring'].map(
        (it) => `${hold}/${it}`,
      ),
      `${hold}/config.ts`,
      `${hold}/context.ts`,
      `${hold}/errors.ts`,
      'type:npm:commander',
    ],
  ],
  [
    `${hold}/start.ts`,
    [
      ...lib,
      'src/http',
      ...['app.ts', 'config.ts', 'context.ts', 'control', 'operation'].map((it) => `${hold}/${it}`),
    ],
  ],
  [`${hold}/config.ts`, settings],
  [`${hold}/errors.ts`, lib],
  [`${hold}/metrics.ts`, lib],
  [`${hold}/operation`, operation(hold)],
  // The parts of `context.ts` that have a subject of their own.
  [
    `${hold}/wiring`,
    [
      ...inner,
      ...['clients', 'jobs', 'pds', 'ports', 'services', 'storage'].map((it) => `${hold}/${it}`),
      `${hold}/errors.ts`,
      `type:${hold}/config.ts`,
      `type:${hold}/context.ts`,
    ],
  ],
  [
    `${hold}/context.ts`,
    [
      ...inner,
      `${hold}/wiring`,
      ...['clients', 'db', 'jobs', 'pds', 'ports', 'services', 'storage'].map((it) => `${hold}/${it}`),
      `${hold}/config.ts`,
      `${hold}/errors.ts`,
    ],
  ],
  [
    `${hold}/app.ts`,
    [
      ...floors,
      ...web,
      ...['xrpc', 'web', 'uploads', 'pds', 'admin'].map((it) => `${hold}/${it}`),
      `${hold}/errors.ts`,
      `type:${hold}/context.ts`,
    ],
  ],
  // Who may write into the data repo is the hold's to decide; how, the embedded PDS says.
  [
    `${hold}/xrpc`,
    [...edge(hold), ...lexicons, `${hold}/pds/context.ts`, `${hold}/pds/errors.ts`, `type:${hold}/pds`],
  ],
  [`${hold}/web`, [...edge(hold), `type:${hold}/pds`]],
  // What the commands of the same machine ask of a hold that serves.
  [`${hold}/control`, [...lib, `type:${hold}/context.ts`, `type:${hold}/services`]],
  [
    `${hold}/admin/pages`,
    [
      'src/http/forms.ts',
      'src/http/html.ts',
      'src/http/login-form.ts',
      'src/http/page-parts.ts',
      'src/lib',
      'src/protocol',
      `${hold}/web`,
      `${hold}/admin`,
      `type:${hold}/services`,
    ],
  ],
  // It looks like the hold's front page.
  [`${hold}/admin`, [...edge(hold), `type:${hold}/pds`, `${hold}/web`]],
  // It also answers the URLs that the disk's own driver signs.
  [`${hold}/uploads`, [...edge(hold), `${hold}/storage/blob-keys.ts`, `type:${hold}/storage`]],
  // A room within the room: it knows its own tables and nothing else of the hold.
  [
    `${hold}/pds`,
    [
      ...floors,
      ...web,
      ...lexicons,
      `${hold}/db`,
      `${hold}/metrics.ts`,
      'npm:@atproto/crypto',
      'npm:@atproto/lex-cbor',
      'npm:@atproto/repo',
      'npm:@atproto/syntax',
      'npm:@did-plc/lib',
      'npm:kysely',
      'npm:ws',
    ],
  ],
  [`${hold}/jobs`, [...worker(hold), `type:${hold}/pds`]],
  // `blob-keys.ts` draws the layout of a store and opens nothing.
  [`${hold}/services`, [...service(hold), `${hold}/pds`, `${hold}/storage/blob-keys.ts`]],
  [`${hold}/ports`, [...inner, `type:${hold}/errors.ts`, `type:${hold}/db`]],
  [
    `${hold}/storage`,
    [
      ...driver(hold),
      'npm:@aws-sdk/client-s3',
      'npm:@aws-sdk/s3-request-presigner',
      'npm:@smithy/node-http-handler',
    ],
  ],
  // What services ask of other machines: owners' PDSes, relays, labelers.
  [`${hold}/clients`, [...driver(hold), ...lexicons]],
  [`${hold}/db`, database],

  // It starts for every push and pull: no package, and what it imports loads nothing heavy.
  ['src/credential-helper', protocol],
  ['src/scanner', inner],
  // How the two rooms are started and set, and nothing of what is inside.
  ['src/all-in-one/main.ts', [...lib, 'src/all-in-one/program.ts']],
  ['src/all-in-one/program.ts', [...lib, 'src/all-in-one', `${appview}/program.ts`, `${hold}/program.ts`]],
  [
    'src/all-in-one/config.ts',
    [...settings, 'src/atproto/syntax.ts', `${appview}/config.ts`, `${hold}/config.ts`],
  ],
  ['src/all-in-one', [...lib, 'src/http', `${appview}/start.ts`, `${hold}/start.ts`]],
]

const statement =
  /^[ \t]*(?:import|export)\b([^'";]*?)\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]|^[ \t]*import\s*['"]([^'"]+)['"]/gm

const within = (path: string, place: string) => path === place || path.startsWith(`${place}/`)

/** What a source file imports that its place may not. */
function violations(file: string, text: string): string[] {
  const rule = rules.find(([place]) => within(file, place))
  if (!rule) return [`${file}: no rule covers this file`]
  const [home, allowed] = rule
  const found: string[] = []
  for (const match of text.matchAll(statement)) {
    const [, clause = '', ...specifiers] = match
    const target = resolve(file, specifiers.find((it) => it !== undefined) ?? '')
    if (target === undefined) continue
    const isType = /^\s*type\b/.test(clause) || /^\s*\{(?:\s*type\b[^,}]*,?)+\s*\}\s*$/.test(clause)
    const places = isType ? allowed.map((place) => place.replace('type:', '')) : allowed
    if ([home, ...places].some((place) => within(target, place))) continue
    found.push(`${file} must not import ${target}`)
  }
  return found
}

/** Path of a module from the root, `npm:<package>`, or `undefined` for what Node brings along. */
function resolve(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return normalize(join(dirname(file), specifier))
  if (specifier.startsWith('node:') || builtinModules.includes(specifier)) return undefined
  return `npm:${specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')}`
}

test('every import goes in an allowed direction', () => {
  const files = globSync('src/**/*.ts').filter((file) => !file.endsWith('.test.ts'))
  expect(files.length).toBeGreaterThan(0)
  expect(files.flatMap((file) => violations(file, readFileSync(file, 'utf8')))).toEqual([])
})

test.each([
  ['a floor that reaches into the next', 'src/lib/x.ts', `export * from '../http/serve.ts'`],
  ['a protocol that knows the web', 'src/protocol/oci/x.ts', `import {\n  type Hono,\n} from 'hono'`],
  ['a server that knows a room', 'src/http/x.ts', `const y = await import('../appview/y.ts')`],
  [
    'a room that knows the other',
    'src/appview/services/x.ts',
    `import { y } from '../../hold/services/y.ts'`,
  ],
  ['a page that asks the database', 'src/appview/ui/pages/x.ts', `import { y } from '../../db/y.ts'`],
  ['an edge that asks the database', 'src/appview/registry/x.ts', `import { y } from '../db/y.ts'`],
  ['an edge that wires', 'src/appview/registry/x.ts', `import { createContext } from '../context.ts'`],
  ['a service that knows the web', 'src/hold/services/x.ts', `import { Hono } from 'hono'`],
  ['a service that knows a driver', 'src/hold/services/x.ts', `import { y } from '../storage/y.ts'`],
  ['a service that reads S3', 'src/hold/services/x.ts', `import '@aws-sdk/client-s3'`],
  ['a read model with a network', 'src/appview/read-model/x.ts', `import { y } from '../clients/y.ts'`],
  ['a driver of its own', 'src/appview/db/x.ts', `import pg from 'pg'`],
  ['the inner PDS that knows its hold', 'src/hold/pds/x.ts', `import { y } from '../services/y.ts'`],
  [
    'a door of both rooms that looks inside one',
    'src/all-in-one/x.ts',
    `import { createContext } from '../hold/context.ts'`,
  ],
  ['a folder nobody decided about', 'src/new-folder/x.ts', ``],
  ['a folder nobody decided about in a room', 'src/appview/new-folder/x.ts', ``],
])('%s is seen', (_, file, text) => {
  expect(violations(file, text)).toHaveLength(1)
})

test('an allowed import is not seen', () => {
  expect(violations('src/appview/registry/x.ts', `import type { AppContext } from '../context.ts'`)).toEqual(
    [],
  )
  expect(
    violations('src/hold/services/x.ts', `import { y } from './y.ts'\nimport fs from 'node:fs'`),
  ).toEqual([])
})
