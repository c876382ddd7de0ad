import { BlockList, isIP } from 'node:net'

import type { Context, MiddlewareHandler } from 'hono'

import type { ServerEnv } from './serve.ts'

/** Hops of `X-Forwarded-For` that are read, from the nearest on. */
const hopCountMax = 10

/** Networks by their text: `10.0.0.0/8`, `::1`, or one address. @throws {Error} for text that is none */
export function parseNetworks(texts: readonly string[]): BlockList {
  const networks = new BlockList()
  for (const text of texts) {
    const [address = '', length] = text.split('/', 2)
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const bits = family === 'ipv6' ? 128 : 32
    const prefix = length === undefined ? bits : Number(length)
    const isPrefix = length === undefined || (/^\d{1,3}$/.test(length) && prefix <= bits)
    if (isIP(address) === 0 || !isPrefix)
      throw new Error(`not a network: ${JSON.stringify(text)}; one is 10.0.0.0/8`)
    networks.addSubnet(address, prefix, family)
  }
  return networks
}

/**
 * Where a request came from: the other end of the connection, or, as long as that is a proxy of ours, whom it says it
 * speaks for in `X-Forwarded-For`. What anybody else writes there is not read.
 */
export function clientAddress(
  remoteAddress: string | undefined,
  forwardedFor: string | undefined,
  proxies: BlockList,
): string {
  let address = plain(remoteAddress ?? '')
  const hops = (forwardedFor ?? '').split(',').slice(-hopCountMax)
  while (isIn(proxies, address)) {
    const hop = plain(hops.pop()?.trim() ?? '')
    if (isIP(hop) === 0) return address
    address = hop
  }
  return address
}

/** Has {@link addressOf} see through the proxies in front of us. */
export function readClientAddress(proxies: BlockList): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    const { remoteAddress } = context.env.incoming.socket
    context.set('clientAddress', clientAddress(remoteAddress, context.req.header('x-forwarded-for'), proxies))
    await next()
  }
}

/** Where a request came from, as far as is known. */
export function addressOf(context: Context<ServerEnv>): string {
  return context.get('clientAddress') ?? context.env.incoming.socket.remoteAddress ?? ''
}

/** An IPv4 address in IPv6's clothes is that IPv4 address. */
function plain(address: string): string {
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address
}

function isIn(networks: BlockList, address: string): boolean {
  const version = isIP(address)
  return version !== 0 && networks.check(address, version === 6 ? 'ipv6' : 'ipv4')
}
