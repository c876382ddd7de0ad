import { expect, test } from 'vitest'

import { AddressRanges, isAddressRange } from '../lib/address-ranges.ts'
import { findClientAddress } from './client-address.ts'

const proxies = new AddressRanges(['127.0.0.0/8', '::1', '10.0.0.0/8', 'fd00::/8'])

const addressFor = (remoteAddress: string | undefined, forwarded?: string) =>
  findClientAddress({ headers: { 'x-forwarded-for': forwarded }, socket: { remoteAddress } }, proxies)

test.each([
  ['nobody before us', '192.0.2.1', undefined, '192.0.2.1'],
  ['a stranger who names another', '192.0.2.1', '203.0.113.9', '192.0.2.1'],
  ['our proxy', '127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['our proxy, and a stranger who names another', '127.0.0.1', '8.8.8.8, 203.0.113.9', '203.0.113.9'],
  ['two proxies of ours', '::1', '8.8.8.8, 203.0.113.9, 10.1.2.3', '203.0.113.9'],
  ['a client beside the proxy', '127.0.0.1', '10.1.2.3', '10.1.2.3'],
  ['our proxy, which names nobody', '127.0.0.1', undefined, '127.0.0.1'],
  ['our proxy, which names nonsense', '127.0.0.1', '203.0.113.9, <script>', '127.0.0.1'],
  ['IPv4 within IPv6', '::ffff:10.0.0.1', '::ffff:192.0.2.1', '192.0.2.1'],
  ['ports', '127.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
  ['IPv6 with a port', 'fd00::2', '[2001:db8::1]:4711', '2001:db8::1'],
  [
    'more proxies than there can be',
    '127.0.0.1',
    Array.from({ length: 500 }, () => '10.0.0.1').join(),
    '10.0.0.1',
  ],
  ['a client that has left', undefined, '203.0.113.9', ''],
])('%s', (_, peer, forwarded, address) => {
  expect(addressFor(peer, forwarded)).toBe(address)
})

test('ranges are addresses and networks, nothing else', () => {
  for (const text of ['10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8', '0.0.0.0/0'])
    expect(isAddressRange(text)).toBe(true)
  for (const text of ['', 'proxy.example', '10.0.0.0/33', '10.0.0.0/', '10/8', '::1/129', '10.0.0.1 '])
    expect(isAddressRange(text)).toBe(false)
  expect(() => new AddressRanges(['proxy.example'])).toThrow('proxy.example')
})
