import { expect, test } from 'vitest'

import { Secret } from '../lib/secret.ts'
import { describeSettings, loadSettings, settingsTemplate } from '../lib/config.ts'
import { holdConfig, holdPaths, holdSettings } from './config.ts'

const publicUrl = { HOLD_SERVER_PUBLIC_URL: 'https://hold.example' }

test('only the public URL must be given', () => {
  const { settings } = loadSettings(holdSettings, { environment: publicUrl })
  expect(settings.storage.driver).toBe('filesystem')
  expect(settings.server).toMatchObject({ addr: ':8080', public: false, test_mode: false })
  expect(() => loadSettings(holdSettings, { environment: {} })).toThrow(/HOLD_SERVER_PUBLIC_URL/)
})

test.each([
  ['HOLD_PUBLIC_URL', 'https://old.example', 'server.public_url'],
  ['HOLD_OWNER', 'did:plc:a', 'registration.owner_did'],
  ['HOLD_PUBLIC', 'true', 'server.public'],
  ['HOLD_ALLOW_ALL_CREW', 'true', 'registration.allow_all_crew'],
  ['STORAGE_DRIVER', 's3', 'storage.driver'],
  ['AWS_ACCESS_KEY_ID', 'key', 'storage.access_key'],
  ['AWS_SECRET_ACCESS_KEY', 'hush', 'storage.secret_key'],
  ['AWS_REGION', 'eu-1', 'storage.region'],
  ['S3_BUCKET', 'bucket', 'storage.bucket'],
  ['S3_ENDPOINT', 'https://s3.example', 'storage.endpoint'],
  ['TEST_MODE', 'true', 'server.test_mode'],
])('the older name %s still works, with a notice, and gives way to the present one', (name, value, path) => {
  const present = `HOLD_${path.replaceAll('.', '_').toUpperCase()}`
  const read = (environment: Record<string, string>) => {
    const { settings, notices } = loadSettings(holdSettings, {
      environment: {
        ...(path === 'server.public_url' ? {} : publicUrl),
        ...companions(environment),
        ...environment,
      },
    })
    const [section, key] = path.split('.') as [keyof typeof settings, string]
    const found = (settings[section] as Record<string, unknown>)[key]
    return { found: found instanceof Secret ? found.reveal() : String(found), notices }
  }
  expect(read({ [name]: value })).toEqual({
    found: value,
    notices: [`${name} is an older name of ${present}`],
  })
  const other = { true: 'false', s3: 'filesystem' }[value] ?? `${value}2`
  expect(read({ [name]: value, [present]: other })).toEqual({ found: other, notices: [] })
})

/** What settings are not taken without. */
function companions(environment: Record<string, string>): Record<string, string> {
  if ('S3_BUCKET' in environment) return { HOLD_STORAGE_DRIVER: 's3' }
  const driver = environment['HOLD_STORAGE_DRIVER'] ?? environment['STORAGE_DRIVER']
  return driver === 's3' ? { HOLD_STORAGE_BUCKET: 'bucket' } : {}
}

test('every older name is one of those above', () => {
  expect(Object.keys(holdSettings.legacyEnvironment)).toHaveLength(11)
})

test('no two settings share a name in the environment', () => {
  const names = describeSettings(holdSettings).map(({ environment }) => environment)
  expect(new Set(names).size).toBe(names.length)
})

test('the template is a working file', () => {
  const yaml = settingsTemplate(holdSettings, 'x').replace(
    /public_url:.*/,
    'public_url: https://hold.example',
  )
  const { settings } = loadSettings(holdSettings, { environment: {}, yaml })
  expect(settings).toEqual(loadSettings(holdSettings, { environment: publicUrl }).settings)
})

test('files lie beside the database', () => {
  const paths = (path?: string) =>
    holdPaths(holdConfig({ server: { public_url: 'https://h.example' }, database: { path } }), true)
  expect(paths().database).toBe('/var/lib/atcr/hold.db')
  expect(paths('/data/h.db')).toMatchObject({
    blobs: '/data/blobs',
    did: '/data/did.txt',
    signingKey: '/data/signing.key',
  })
})

test('tiers have names of their own, and the default is one of them', () => {
  const load = (quota: string) =>
    loadSettings(holdSettings, { environment: publicUrl, yaml: `quota: ${quota}` }).settings.quota
  expect(load('{ tiers: [{ name: deckhand, quota: 5GB }] }')).toEqual({
    tiers: [{ name: 'deckhand', quota: 5e9, scan_on_push: false }],
    defaults: {},
  })
  expect(() => load('{ tiers: [{ name: a, quota: 5GB }, { name: a, quota: 6GB }] }')).toThrow(
    /two tiers are called a/,
  )
  expect(() => load('{ tiers: [{ name: a, quota: 5GB }], defaults: { new_crew_tier: b } }')).toThrow(
    /no tier b/,
  )
  expect(() => load('{ tiers: [{ name: a, quota: lots }] }')).toThrow(/a size such as 5GB/)
  const environment = { ...publicUrl, HOLD_QUOTA_TIERS: '[{ name: a, quota: 1MB }]' }
  expect(loadSettings(holdSettings, { environment }).settings.quota.tiers[0]?.quota).toBe(1e6)
})

test('what contradicts itself is told with what is missing and what is mistyped', () => {
  const yaml = `
server: { public_url: http://hold.example, addr: nowhere, pubic: true, trusted_proxies: [10.0.0.0/99] }
storage: { driver: s3, access_key: key, path: /blobs }
registration: { owner_did: alice }
database: { url: postgres://db, libsql_sync_url: https://l.example, did: "did:web:a", did_method: plc }
gc: { grace: 1m }
`
  const load = () => loadSettings(holdSettings, { environment: { HOLD_QUOTA_TIERS: '[' }, yaml })
  const wanted = [
    'server.addr: expected an address such as :5000',
    'server.pubic: unknown setting; did you mean server.public?',
    'server.trusted_proxies.0: expected an IP address or network',
    'storage.bucket: missing; the s3 driver needs it',
    'storage.access_key is set without storage.secret_key',
    'storage.path is for the filesystem driver',
    'registration.owner_did: expected a handle or a DID',
    'database.libsql_sync_url and database.url are both set',
    'database.did is a did:web and database.did_method is plc',
    'gc.grace: at least 1h',
    'HOLD_QUOTA_TIERS is not YAML',
  ]
  for (const part of wanted) expect(load).toThrow(part)
  // A section with mistakes of its own is not looked at further.
  expect(load).not.toThrow('is plain http')
})

test.each([
  ['http://hold.example', 'server.public_url is plain http'],
  ['https://hold.example/path', 'expected an address without a path'],
])('public_url %s: %s', (url, message) => {
  const load = (more: Record<string, string> = {}) =>
    loadSettings(holdSettings, { environment: { HOLD_SERVER_PUBLIC_URL: url, ...more } })
  expect(() => load()).toThrow(message)
  if (url === 'http://hold.example') expect(() => load({ HOLD_SERVER_TEST_MODE: 'true' })).not.toThrow()
})

test('a bucket without its driver, a CDN without a bucket', () => {
  const environment = { ...publicUrl, S3_BUCKET: 'b', HOLD_STORAGE_PULL_ZONE: 'https://cdn.example' }
  expect(() => loadSettings(holdSettings, { environment })).toThrow(
    /storage\.bucket is for the s3 driver[^]*storage\.pull_zone is for/,
  )
})

test('what may be reloaded is there', () => {
  const paths = describeSettings(holdSettings).map(({ path }) => path)
  for (const name of holdSettings.reloaded)
    expect(
      paths.some((path) => path === name || path.startsWith(`${name}.`)),
      name,
    ).toBe(true)
})
