import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'

import type { Context, MiddlewareHandler } from 'hono'

import type { AddressRanges } from '../lib/address-ranges.ts'
import type { ServerEnv } from './serve.ts'

const proxyCountMax = 10

/** Notes where each request comes from, for {@link addressOf}. */
export function clientAddress(trustedProxies: AddressRanges): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    context.set('clientAddress', findClientAddress(context.env.incoming, trustedProxies))
    await next()
  }
}

/** The address of the client of a request; of whoever connected to us where nobody notes more. Empty when it has left. */
export function addressOf(context: Context<ServerEnv>): string {
  return context.get('clientAddress') ?? plainAddress(context.env.incoming.socket.remoteAddress ?? '')
}

/**
 * Who connected, unless that is a proxy of ours: then whom it names as its own client in `X-Forwarded-For`, and so on.
 * What stands left of that was written by strangers.
 */
export function findClientAddress(
  request: { headers: IncomingHttpHeaders; socket: { remoteAddress?: string | undefined } },
  trustedProxies: AddressRanges,
): string {
  const header = [request.headers['x-forwarded-for'] ?? []].flat().join(',')
  const named = header
    .split(',')
    .slice(-proxyCountMax)
    .toReversed()
    .map((text) => plainAddress(text.trim()))
  let address = plainAddress(request.socket.remoteAddress ?? '')
  for (const next of named) {
    if (!trustedProxies.has(address) || isIP(next) === 0) return address
    address = next
  }
  return address
}

/** `::ffff:192.0.2.1`, `192.0.2.1:4711` and `[2001:db8::1]:4711` without what is around the address. */
function plainAddress(text: string): string {
  const [, mapped] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/i.exec(text) ?? []
  const [, bracketed] = /^\[([^\]]+)\](?::\d+)?$/.exec(text) ?? []
  return mapped ?? bracketed ?? text
}
