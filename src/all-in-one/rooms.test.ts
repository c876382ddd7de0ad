import type { IncomingMessage } from 'node:http'

import { describe, expect, test } from 'vitest'

import { roomChooser, type Room } from './rooms.ts'

const request = (host: string | undefined, url: string) => ({ headers: { host }, url }) as IncomingMessage

const shared: [path: string, room: Room][] = [
  ['/', 'appview'],
  ['/health', 'appview'],
  ['/robots.txt', 'appview'],
  ['/v2/', 'appview'],
  ['/v2/alice.example/xrpc/blobs/uploads/', 'appview'],
  ['/v2/direct/manifests/latest', 'appview'],
  ['/v2/direct/tags/list', 'appview'],
  ['/u/alice.example', 'appview'],
  ['/auth/oauth/callback', 'appview'],
  ['/oauth-client-metadata.json', 'appview'],
  ['/oauth/jwks.json', 'appview'],
  ['/assets/atcr-0123456789ab.css', 'appview'],
  ['/.well-known/change-password', 'appview'],
  ['/administrator', 'appview'],
  ['/%61dmin', 'appview'],
  ['/registered', 'appview'],
  ['/oauth/client-metadata.json', 'hold'],
  ['/admin', 'hold'],
  ['/admin/oauth/jwks.json', 'hold'],
  ['/register?x=/v2/', 'hold'],
  ['/register/oauth/client-metadata.json', 'hold'],
  ['/xrpc/com.atproto.sync.getRepo?did=x', 'hold'],
  ['/.well-known/did.json', 'hold'],
  ['/.well-known/atproto-did', 'hold'],
  [`/blobs/sha256:${'0'.repeat(64)}?signature=x`, 'hold'],
  ['/v2/direct/blobs/uploads/capability?digest=x', 'hold'],
  ['/assets/hold-0123456789ab.css', 'hold'],
  ['/assets/logo-0123456789ab.svg', 'hold'],
]

test.each(shared)('at one host name %s goes to the %s', (path, room) => {
  const choose = roomChooser(undefined)
  expect(choose(request('registry.example', path))).toBe(room)
  expect(choose(request(undefined, path))).toBe(room)
  expect(choose(request('registry.example', `https://registry.example${path}`))).toBe(room)
})

describe('with two host names', () => {
  const addresses = { appview: new URL('https://registry.example'), hold: new URL('https://hold.example') }
  const choose = roomChooser(addresses)

  test.each(shared)('%s goes where the name says', (path) => {
    for (const host of ['hold.example', 'HOLD.example:443', 'hold.example:5000'])
      expect(choose(request(host, path)), host).toBe('hold')
    for (const host of ['registry.example', 'other.example', '127.0.0.1:5000', '', undefined, '[', 'nothold.example'])
      expect(choose(request(host, path)), host).toBe('appview')
    expect(choose(request('registry.example', `https://hold.example${path}`))).toBe('hold')
  }) // prettier-ignore

  test('that differ in their ports alone the port tells', () => {
    const byPort = roomChooser({ appview: new URL('https://x.example'), hold: new URL('https://x.example:8443') }) // prettier-ignore
    expect(byPort(request('x.example:8443', '/'))).toBe('hold')
    expect(byPort(request('x.example', '/admin'))).toBe('appview')
  })

  test('over plain http signing in to the hold at 127.0.0.1 leads there', () => {
    const local = {
      appview: new URL('http://registry.localhost:5000'),
      hold: new URL('http://localhost:5000'),
    }
    const chooseLocally = roomChooser(local)
    expect(chooseLocally(request('127.0.0.1:5000', '/admin/oauth/callback?code=x'))).toBe('hold')
    expect(chooseLocally(request('127.0.0.1:5000', '/auth/oauth/callback'))).toBe('appview')
    expect(chooseLocally(request('registry.localhost:5000', '/admin'))).toBe('appview')
  })
})
