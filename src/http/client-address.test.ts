import { expect, test } from 'vitest'

import { proxyWarning, proxyList, resolveClientAddress } from './client-address.ts'

const trusted = proxyList(['127.0.0.1', '10.0.0.0/8', 'fd00::/8'])

test.each([
  ['nobody in between', '192.0.2.1', undefined, '192.0.2.1'],
  ['a stranger who says to be another', '192.0.2.1', '198.51.100.7', '192.0.2.1'],
  ['our proxy', '127.0.0.1', '192.0.2.1', '192.0.2.1'],
  ['our proxy, over IPv6', '::ffff:127.0.0.1', '2001:db8::1', '2001:db8::1'],
  ['two proxies of ours', 'fd00::5', '192.0.2.1, 10.1.2.3', '192.0.2.1'],
  ['a client who sent the header himself', '127.0.0.1', '198.51.100.7, 192.0.2.1', '192.0.2.1'],
  ['a proxy that tells the port as well', '127.0.0.1', '192.0.2.1:4711', '192.0.2.1'],
  ['… of IPv6', '127.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
  ['a proxy that says nothing', '127.0.0.1', undefined, '127.0.0.1'],
  ['one that says nonsense', '127.0.0.1', '192.0.2.1, unknown', '127.0.0.1'],
  ['one with nothing but commas', '127.0.0.1', ',,', '127.0.0.1'],
  ['a peer that is gone', undefined, '192.0.2.1', ''],
])('%s', (_what, peer, forwardedFor, address) => {
  expect(resolveClientAddress(peer, forwardedFor, trusted)).toBe(address)
})

test.each([
  ['https://registry.example', [], true],
  ['https://registry.example', ['127.0.0.1'], false],
  ['http://127.0.0.1:5000', [], false],
])('at %s with proxies %j a warning is due: %s', (publicUrl, proxies, isDue) => {
  expect(proxyWarning(publicUrl, proxies) !== undefined).toBe(isDue)
})

test('without proxies nobody is believed', () => {
  expect(resolveClientAddress('127.0.0.1', '192.0.2.1', proxyList([]))).toBe('127.0.0.1')
})

test.each(['proxy.example', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '', 'fd00::/129', '10.0.0.0/-1'])(
  '%j is refused',
  (text) => {
    expect(() => proxyList([text])).toThrow('is no IP address and no network')
  },
)
