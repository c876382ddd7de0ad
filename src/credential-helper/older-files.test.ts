import { expect, test } from 'vitest'

import { findOlderAccounts } from './older-files.ts'

const secret = 'atcr_device_old'

test.each([
  [
    'one account',
    { handle: 'alice.example', device_secret: secret, appview_url: 'https://registry.example' },
  ],
  [
    'by registry',
    { credentials: { 'https://registry.example': { handle: 'alice.example', device_secret: secret } } },
  ],
  [
    'by registry and handle',
    { version: 2, registries: { 'registry.example': { active: 'alice.example', accounts: { 'alice.example': { handle: 'alice.example', device_secret: secret, appview_url: 'https://registry.example' } } } } }, // prettier-ignore
  ],
])('%s is found', (_, file) => {
  expect(findOlderAccounts(file).get('registry.example')).toEqual({
    host: 'registry.example',
    origin: 'https://registry.example',
    active: 'alice.example',
    accounts: [{ name: 'alice.example', secret }],
  })
})

test('of several accounts the one marked active stays so', () => {
  const account = (handle: string) => ({
    handle,
    device_secret: secret,
    appview_url: 'https://registry.example',
  })
  const accounts = { 'alice.example': account('alice.example'), 'bob.example': account('bob.example') }
  const found = findOlderAccounts({ registries: { x: { active: 'alice.example', accounts } } })
  expect(found.get('registry.example')?.active).toBe('alice.example')
  expect(found.get('registry.example')?.accounts).toHaveLength(2)
})

test.each([
  ['text', 'atcr'],
  ['a list', [{ handle: 'alice.example', device_secret: secret }]],
  ['no address anywhere', { handle: 'alice.example', device_secret: secret }],
  [
    'a secret that is none',
    { handle: 'alice.example', device_secret: 7, appview_url: 'https://registry.example' },
  ],
  [
    'deeper than anyone would nest',
    { a: { b: { c: { d: { e: { f: { handle: 'a', device_secret: secret } } } } } } },
  ],
])('%s: nothing', (_, file) => {
  expect(findOlderAccounts(file).size).toBe(0)
})
