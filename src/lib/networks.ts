import { isIPv6 } from 'node:net'

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
