import { expect, test } from 'vitest'

import { describeSettings, loadSettings, settingsTemplate } from '../lib/config.ts'
import { appViewConfig, appViewPaths, appViewSettings } from './config.ts'

const minimal = { ATCR_SERVER_DEFAULT_HOLD_DID: 'did:web:hold.example' }

test('the default hold is the only setting that must be given', () => {
  const { settings } = loadSettings(appViewSettings, { environment: minimal })
  expect(settings.server.addr).toBe(':5000')
  expect(() => loadSettings(appViewSettings, { environment: {} })).toThrow(/ATCR_SERVER_DEFAULT_HOLD_DID/)
})

test.each([
  ['ATCR_HTTP_ADDR', '127.0.0.1:1', 'server.addr', '127.0.0.1:2'],
  ['ATCR_BASE_URL', 'https://old.example', 'server.base_url', 'https://new.example'],
  ['ATCR_DEFAULT_HOLD_DID', 'did:web:h.example', 'server.default_hold_did', 'did:web:other.example'],
  ['JETSTREAM_URL', 'wss://j.example', 'jetstream.urls', 'wss://k.example'],
  ['TEST_MODE', 'true', 'server.test_mode', 'false'],
])(
  'the older name %s still works, with a notice, and gives way to the present one',
  (name, value, path, other) => {
    const present = `ATCR_${path.replaceAll('.', '_').toUpperCase()}`
    const read = (environment: Record<string, string>) => {
      const needed = { ATCR_SERVER_DEFAULT_HOLD_DID: 'did:web:x.example' }
      const { settings, notices } = loadSettings(appViewSettings, {
        environment: path === 'server.default_hold_did' ? environment : { ...needed, ...environment },
      })
      const [section, key] = path.split('.') as [keyof typeof settings, string]
      return { found: String((settings[section] as Record<string, unknown>)[key]), notices }
    }
    expect(read({ [name]: value })).toEqual({
      found: value,
      notices: [`${name} is an older name of ${present}`],
    })
    expect(read({ [name]: value, [present]: other })).toEqual({ found: other, notices: [] })
  },
)

test('the name of one setting is as it always was', () => {
  const environment = { ATCR_SERVER_DEFAULT_HOLD_DID: 'did:web:x.example', ATCR_UI_ENABLED: 'false' }
  const { settings, notices } = loadSettings(appViewSettings, { environment })
  expect([settings.ui.enabled, notices]).toEqual([false, []])
  expect(Object.keys(appViewSettings.legacyEnvironment)).toHaveLength(5)
})

test('the template reads back as the defaults', () => {
  const template = settingsTemplate(appViewSettings, 'Settings')
  for (const { environment } of describeSettings(appViewSettings)) expect(template).toContain(environment)
  const { settings } = loadSettings(appViewSettings, { environment: minimal, yaml: withoutNulls(template) })
  expect(settings).toEqual(appViewConfig({ server: { default_hold_did: 'did:web:hold.example' } }))
})

test('files go to the data folder unless they are placed one by one', () => {
  const config = appViewConfig({
    server: { default_hold_did: 'did:web:h.example' },
    auth: { key_path: '/k.pem' },
  })
  expect(appViewPaths(config, true)).toMatchObject({ database: '/var/lib/atcr/ui.db', registryKey: '/k.pem' })
})

/** Optional settings stand in the template as empty keys, for a person to fill. */
const withoutNulls = (yaml: string) => yaml.replaceAll(/^\s*\w+: null$/gm, '')
