import { BlockList, isIP } from 'node:net'

/** IP addresses and networks: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`. */
export class AddressRanges {
  readonly #list = new BlockList()

  /** @throws {Error} when a text is neither an address nor a network */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const range = parseRange(text)
      if (range === undefined) throw new Error(`neither an address nor a network: ${JSON.stringify(text)}`)
      this.#list.addSubnet(range.address, range.prefix, range.family)
    }
  }

  has(address: string): boolean {
    return isIP(address) !== 0 && this.#list.check(address, familyOf(address))
  }
}

export function isAddressRange(text: string): boolean {
  return parseRange(text) !== undefined
}

function parseRange(text: string) {
  const [, address = '', prefixText] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  if (isIP(address) === 0) return undefined
  const family = familyOf(address)
  const bits = family === 'ipv6' ? 128 : 32
  const prefix = prefixText === undefined ? bits : Number(prefixText)
  return prefix <= bits ? ({ address, prefix, family } as const) : undefined
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
