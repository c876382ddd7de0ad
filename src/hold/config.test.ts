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
      environment: { ...(path === 'server.public_url' ? {} : publicUrl), ...environment },
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
