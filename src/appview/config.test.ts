import { readFileSync } from 'node:fs'

import { expect, test } from 'vitest'

import { describeSettings, loadSettings, settingsTemplate } from '../lib/config.ts'
import { appViewConfig, appViewPaths, appViewSettings, pageGrounds } from './config.ts'

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
    auth: { key_path: '/k.pem', cert_path: '/k.crt' },
  })
  expect(appViewPaths(config, true)).toMatchObject({ database: '/var/lib/atcr/ui.db', registryKey: '/k.pem' })
})

/** Optional settings stand in the template as empty keys, for a person to fill. */
const withoutNulls = (yaml: string) => yaml.replaceAll(/^\s*\w+: null$/gm, '')

test('what contradicts itself, and what is no DID, address or colour, is told together', () => {
  const yaml = `
default_hold_did: did:web:h.example
server: { base_url: http://atcr.example, default_hold_did: "did:web:h.example", registry_domains: [images.example] }
ui: { database_path: /a.db, database_url: postgres://b, libsql_auth_token: hush }
auth: { key_path: /k.pem }
branding: { accent: "#8fd0ff", accent_dark: red, footer_links: [{ text: Evil, url: "javascript:alert(1)" }] }
`
  const wanted = [
    'default_hold_did: unknown setting; did you mean server.default_hold_did?',
    'server.base_url is plain http',
    'ui.database_path and ui.database_url are both set',
    'ui.libsql_auth_token is set without ui.libsql_sync_url',
    'auth.key_path is set without auth.cert_path',
    'branding.accent: too little contrast on light pages: 1.5',
    'branding.accent_dark: expected a colour such as #1c6394',
    'branding.footer_links.0.url: expected an address of a page',
  ]
  for (const part of wanted)
    expect(() => loadSettings(appViewSettings, { environment: {}, yaml })).toThrow(part)
})

test('the colour that is advised instead of an unreadable one would do', () => {
  const load = (accent: string) =>
    appViewConfig({ server: { default_hold_did: 'did:web:h.example' }, branding: { accent } })
  const advised = /(#[0-9a-f]{6}) would do/.exec(catchMessage(() => load('#ffd000')))
  expect(load(advised?.[1] as string).branding.accent).toBe(advised?.[1])
})

test('contrast is reckoned against the colours that pages have', () => {
  const css = readFileSync('src/http/assets/base.css', 'utf8')
  for (const [index, name] of ['paper', 'surface', 'sunken'].entries())
    expect(css).toContain(`--${name}: light-dark(${pageGrounds.light[index]}, ${pageGrounds.dark[index]})`)
})

test('what may be reloaded is there', () => {
  const paths = describeSettings(appViewSettings).map(({ path }) => path)
  for (const name of appViewSettings.reloaded)
    expect(
      paths.some((path) => path === name || path.startsWith(`${name}.`)),
      name,
    ).toBe(true)
})

test('settings of a hold beside an AppView, and of Kubernetes, are no typing mistakes', () => {
  const environment = { ...minimal, ATCR_HOLD_SERVER_PUBLIC: 'true', ATCR_WEB_SERVICE_HOST: '10.0.0.1', ATCR_WEB_PORT_5000_TCP_ADDR: '10.0.0.1', ATCR_SERVER_BASE_ULR: 'https://x' } // prettier-ignore
  expect(loadSettings(appViewSettings, { environment }).notices).toEqual([
    'ATCR_SERVER_BASE_ULR in the environment is no setting; did you mean ATCR_SERVER_BASE_URL?',
  ])
})

function catchMessage(action: () => unknown): string {
  try {
    action()
    return ''
  } catch (error) {
    return String(error)
  }
}
