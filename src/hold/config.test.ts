import { expect, test } from 'vitest'

import { describeSettings, loadSettings, settingsTemplate } from '../lib/config.ts'
import { holdConfig, holdPaths, holdSettings } from './config.ts'

const publicUrl = { HOLD_SERVER_PUBLIC_URL: 'https://hold.example' }

test('only the public URL must be given', () => {
  const { settings } = loadSettings(holdSettings, { environment: publicUrl })
  expect(settings.storage.driver).toBe('filesystem')
  expect(settings.server).toMatchObject({ addr: ':8080', public: false, test_mode: false })
  expect(() => loadSettings(holdSettings, { environment: {} })).toThrow(/HOLD_SERVER_PUBLIC_URL/)
})

test('older names of the environment still work', () => {
  const environment = { HOLD_PUBLIC_URL: 'https://h.example', HOLD_OWNER: 'did:plc:a', HOLD_PUBLIC: 'true', STORAGE_DRIVER: 's3', S3_BUCKET: 'b', AWS_SECRET_ACCESS_KEY: 'x' } // prettier-ignore
  const { settings, notices } = loadSettings(holdSettings, { environment })
  expect(settings.registration.owner_did).toBe('did:plc:a')
  expect(settings.storage).toMatchObject({ driver: 's3', bucket: 'b' })
  expect(settings.storage.secret_key?.reveal()).toBe('x')
  expect(JSON.stringify(settings)).not.toContain('"x"')
  expect(notices).toHaveLength(6)
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
