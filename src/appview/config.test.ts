import { expect, test } from 'vitest'

import { describeSettings, loadSettings, settingsTemplate } from '../lib/config.ts'
import { appViewConfig, appViewPaths, appViewSettings } from './config.ts'

const minimal = { ATCR_SERVER_DEFAULT_HOLD_DID: 'did:web:hold.example' }

test('the default hold is the only setting that must be given', () => {
  const { settings } = loadSettings(appViewSettings, { environment: minimal })
  expect(settings.server.addr).toBe(':5000')
  expect(() => loadSettings(appViewSettings, { environment: {} })).toThrow(/ATCR_SERVER_DEFAULT_HOLD_DID/)
})

test('older environment names still work', () => {
  const { settings, notices } = loadSettings(appViewSettings, {
    environment: {
      ATCR_HTTP_ADDR: '127.0.0.1:1',
      ATCR_BASE_URL: 'https://a.example',
      ATCR_DEFAULT_HOLD_DID: 'did:web:h.example',
      ATCR_UI_ENABLED: 'false',
      JETSTREAM_URL: 'wss://j.example',
      TEST_MODE: 'true',
    },
  })
  expect(settings.server).toMatchObject({
    addr: '127.0.0.1:1',
    base_url: 'https://a.example',
    test_mode: true,
  })
  expect(settings.ui.enabled).toBe(false)
  expect(settings.jetstream.urls).toEqual(['wss://j.example'])
  expect(notices).toHaveLength(5)
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
