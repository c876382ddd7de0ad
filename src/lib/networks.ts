import { BlockList, isIP, isIPv6 } from 'node:net'

import { SettingsError } from './config.ts'

/** What one customer of a network has, for limits: an IPv4 address, or the first 64 bits of an IPv6 address. */
export function networkOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (mapped !== undefined) return mapped
  const [plain = ''] = address.split('%')
  if (!isIPv6(plain)) return address
  const [head = '', tail = ''] = plain.split('::')
  const groups = head.split(':').filter((group) => group !== '')
  const tailGroups = tail.split(':').filter((group) => group !== '')
  const isShortened = plain.includes('::')
  const zeros = isShortened ? Array.from({ length: 8 - groups.length - tailGroups.length }, () => '0') : []
  const all = [...groups, ...zeros, ...tailGroups]
  return `${all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64` // prettier-ignore
}

/**
 * The addresses and networks of a setting: `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
 * @throws {SettingsError} naming what is neither
 */
export function networkList(setting: string, texts: readonly string[]): BlockList {
  const list = new BlockList()
  for (const text of texts)
    if (!add(list, text))
      throw new SettingsError([`${setting}: ${JSON.stringify(text)} is no IP address and no network`])
  return list
}

function add(list: BlockList, text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  const length = family === 4 ? 32 : 128
  const prefix = bits === undefined ? length : /^\d{1,3}$/.test(bits) ? Number(bits) : -1
  if (family === 0 || rest.length > 0 || prefix < 0 || prefix > length) return false
  list.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
  return true
}
