import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { clientAddress, parseNetworks } from './client-address.ts'

const proxies = parseNetworks(['127.0.0.0/8', '::1', 'fd00::/8', '192.0.2.7'])

test.each<[string | undefined, string | undefined, string, string]>([
  ['198.51.100.1', undefined, '198.51.100.1', 'a client'],
  ['198.51.100.1', '203.0.113.1', '198.51.100.1', 'a client that says it speaks for another'],
  ['127.0.0.1', '203.0.113.1', '203.0.113.1', 'a proxy'],
  ['::ffff:127.0.0.1', '203.0.113.1', '203.0.113.1', 'a proxy on a socket for both'],
  ['::1', '1.1.1.1, 203.0.113.1', '203.0.113.1', 'a proxy, and a client that put a lie before'],
  ['127.0.0.1', '203.0.113.1, 192.0.2.7', '203.0.113.1', 'two proxies'],
  ['fd12::1', '2001:db8::5', '2001:db8::5', 'IPv6'],
  ['127.0.0.1', undefined, '127.0.0.1', 'a proxy that says nothing'],
  ['127.0.0.1', '', '127.0.0.1', 'a proxy that says nothing at all'],
  ['127.0.0.1', 'unknown, 203.0.113.1:80', '127.0.0.1', 'what is no address'],
  ['127.0.0.1', '127.0.0.1', '127.0.0.1', 'a proxy that speaks for itself'],
  [undefined, '203.0.113.1', '', 'a connection that is gone'],
])('%s with %s is %s: %s', (remote, forwarded, expected, _what) => {
  expect(clientAddress(remote, forwarded, proxies)).toBe(expected)
})

test('whatever the header says, the answer is an address somebody vouches for', () => {
  fc.assert(
    fc.property(fc.string(), (forwarded) => {
      expect(clientAddress('198.51.100.1', forwarded, proxies)).toBe('198.51.100.1')
      expect(clientAddress('127.0.0.1', `${forwarded}, 203.0.113.1`, proxies)).toBe('203.0.113.1')
    }),
  )
})

test.each(['', 'localhost', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0/8', '::/129'])(
  '%j is no network',
  (text) => {
    expect(() => parseNetworks([text])).toThrow('not a network')
  },
)
