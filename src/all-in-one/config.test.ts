import { expect, test } from 'vitest'

import { loadSettings, SettingsError, settingsTemplate } from '../lib/config.ts'
import { allInOneSettings, appViewConfigOf, holdConfigOf } from './config.ts'

const load = (yaml: string, environment: Record<string, string> = {}) =>
  loadSettings(allInOneSettings, { yaml, environment }).settings
const two = 'address: https://registry.example\nowner: alice.example\n'

test('a file as it is written needs an address and an owner, and is short', () => {
  const template = settingsTemplate(allInOneSettings, 'Settings of atcr')
  expect(template.split('\n').length).toBeLessThan(40)
  const problems = (yaml: string) => {
    try {
      load(yaml)
    } catch (error) {
      if (error instanceof SettingsError) return error.problems
      throw error
    }
    return []
  }
  expect(problems(template)).toEqual([
    'address: missing; set it in the file or as ATCR_ADDRESS',
    'owner: missing; set it in the file or as ATCR_OWNER',
  ])
  const filled = template
    .replace('address: null', 'address: https://registry.example')
    .replace('owner: null', 'owner: alice.example')
  expect(load(filled)).toEqual(load(two))
})

test('both programs are told of the address, in one folder', () => {
  const settings = load(`${two}data_folder: /srv/atcr\ntrusted_proxies: [127.0.0.1]\n`)
  expect(appViewConfigOf(settings)).toMatchObject({
    server: { base_url: 'https://registry.example', default_hold_did: 'did:web:registry.example', data_folder: '/srv/atcr', trusted_proxies: ['127.0.0.1'], upload_mode: 'auto' },
  }) // prettier-ignore
  expect(holdConfigOf(settings)).toMatchObject({
    server: { public_url: 'https://registry.example/', public: false, appview_did: 'did:web:registry.example', trusted_proxies: ['127.0.0.1'] },
    registration: { owner_did: 'alice.example', allow_all_crew: false },
    database: { path: '/srv/atcr/hold.db', plc_directory_url: 'https://plc.directory' },
  }) // prettier-ignore
})

test('a hold may have a host name of its own, and loopback is called localhost', () => {
  const apart = load(`${two}hold_address: https://hold.example\n`)
  expect(appViewConfigOf(apart).server.default_hold_did).toBe('did:web:hold.example')
  expect(holdConfigOf(apart).server).toMatchObject({ public_url: 'https://hold.example/', appview_did: 'did:web:registry.example' }) // prettier-ignore
  const local = load('address: http://127.0.0.1:5000\nowner: did:plc:x\ntest_mode: true\n')
  expect(appViewConfigOf(local).server.default_hold_did).toBe('did:web:localhost%3A5000')
  expect(holdConfigOf(local).server).toMatchObject({ public_url: 'http://localhost:5000/', test_mode: true })
})

test('settings of the two programs are passed on, in the file and by the environment', () => {
  const settings = load(
    `${two}appview: {server: {upload_mode: relay}}\nhold: {server: {public: true}, quota: {tiers: [{name: a, quota: 5GB}]}}\n`,
    { ATCR_HOLD_REGISTRATION_ALLOW_ALL_CREW: 'true', ATCR_APPVIEW_LEGAL_COMPANY_NAME: 'Sailors' },
  )
  expect(appViewConfigOf(settings)).toMatchObject({ server: { upload_mode: 'relay' }, legal: { company_name: 'Sailors' } }) // prettier-ignore
  expect(holdConfigOf(settings)).toMatchObject({
    server: { public: true },
    registration: { allow_all_crew: true },
    quota: { tiers: [{ name: 'a', quota: 5e9 }] },
  })
})

test.each([
  ['address: https://192.0.2.1\nowner: x\n', 'address: needs a host name'],
  ['address: ftp://registry.example\nowner: x\n', 'address: expected an address'],
  [`${two}hold_address: 'http://[2001:db8::1]:5000'\n`, 'hold_address: needs a host name'],
  [`${two}hold: {public: true}\n`, 'hold.public: unknown setting'],
  [`${two}server: {addr: ':1'}\n`, 'server: unknown setting'],
])('%j is refused', (yaml, problem) => {
  expect(() => load(yaml)).toThrow(problem)
})
