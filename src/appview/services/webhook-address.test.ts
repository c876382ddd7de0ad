import { expect, test } from 'vitest'

import { readWebhookAddress, webhookUrlLengthMax } from './webhook-address.ts'

const read = (text: string, allowsPrivate = false) => readWebhookAddress(text, { allowsPrivate })

test.each([
  ['https://ci.example.com/hook?token=1', 'json', 'ci.example.com'],
  ['https://ci.example.com:8443/', 'json', 'ci.example.com:8443'],
  ['HTTPS://CI.Example.COM', 'json', 'ci.example.com'],
  ['https://discord.com/api/webhooks/1/x', 'discord', 'discord.com'],
  ['https://ptb.discord.com/api/v10/webhooks/1/x', 'discord', 'ptb.discord.com'],
  ['https://discordapp.com/api/webhooks/1/x/slack', 'slack', 'discordapp.com'],
  ['https://hooks.slack.com/services/T/B/x', 'slack', 'hooks.slack.com'],
  ['https://notdiscord.com/api/webhooks/1/x', 'json', 'notdiscord.com'],
  ['https://hooks.slack.com.evil.net/services/T/B/x', 'json', 'hooks.slack.com.evil.net'],
])('%s is told in the form %s', (text, form, host) => {
  expect(read(text)).toEqual({ ok: true, form, host, url: new URL(text).href })
})

test.each([
  '',
  'ci.example.com',
  'ftp://ci.example.com/',
  'javascript:alert(1)',
  'http://ci.example.com/',
  'https://user:password@ci.example.com/',
  'https://user@ci.example.com/',
  'https://ci.example.com/#fragment',
  'https://127.0.0.1/',
  'https://2130706433/',
  'https://0x7f.1/',
  'https://[::1]/',
  'https://[fd00::1]:8443/',
  'https://169.254.169.254/latest/meta-data',
  'https://8.8.8.8/',
  'https://localhost/',
  'https://LOCALHOST./',
  'https://db.internal/',
  'https://printer.local/',
  'https://nas.home.arpa/',
  'https://intranet/',
  `https://ci.example.com/${'x'.repeat(10_000)}`,
])('%s is refused', (text) => {
  expect(read(text)).toMatchObject({ ok: false, problem: expect.stringMatching(/^[A-Z].*\.$/) as string })
})

test('the longest address is taken', () => {
  const prefix = 'https://ci.example.com/'
  const longest = prefix + 'x'.repeat(webhookUrlLengthMax - prefix.length)
  expect(read(longest)).toMatchObject({ ok: true })
  expect(read(`${longest}x`)).toMatchObject({ ok: false })
})

test('test mode takes plain http and any network, and still no credentials', () => {
  expect(read('http://127.0.0.1:8080/hook', true)).toMatchObject({ ok: true, form: 'json' })
  expect(read('http://u:p@127.0.0.1:8080/hook', true)).toMatchObject({ ok: false })
})
