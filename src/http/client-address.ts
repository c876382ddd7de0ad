import type { IncomingMessage } from 'node:http'
import { isIP, isIPv4, type BlockList } from 'node:net'

import type { Context, MiddlewareHandler } from 'hono'

import { networkList } from '../lib/networks.ts'
import type { ServerEnv } from './serve.ts'

/** The proxies whose word about clients counts. @throws {SettingsError} naming what is no address and no network */
export const proxyList = (texts: readonly string[]): BlockList => networkList('trusted_proxies', texts)

/** Who is asked whether an address is that of a proxy of ours. */
interface Proxies {
  check(address: string, family: 'ipv4' | 'ipv6'): boolean
}

/** The proxies that live settings name, also once they name others. */
export function trustedProxies(settings: {
  watch(prepare: (next: { server: { trusted_proxies: readonly string[] } }) => () => void): void
}): Proxies {
  let list = proxyList([])
  settings.watch(({ server }) => {
    const next = proxyList(server.trusted_proxies)
    return () => (list = next)
  })
  return { check: (address, family) => list.check(address, family) }
}

/** What is wrong with the settings for a service that others reach at `publicUrl`; undefined when nothing is. */
export function proxyWarning(publicUrl: string, texts: readonly string[]): string | undefined {
  if (new URL(publicUrl).protocol !== 'https:' || texts.length > 0) return undefined
  return 'server.trusted_proxies is empty: behind a proxy all clients count as one for login limits, and anybody can use them up for all'
}

/**
 * Whose request this is: the address of the peer, or what trusted proxies say of theirs. Of `X-Forwarded-For` the end is
 * read, as far as it was written by proxies of ours: what stands before anybody may have sent.
 */
export function resolveClientAddress(
  peer: string | undefined,
  forwardedFor: string | undefined,
  trusted: Proxies,
): string {
  let address = plainAddress(peer ?? '')
  const hops = forwardedFor === undefined ? [] : forwardedFor.split(',')
  while (hops.length > 0 && isTrusted(address, trusted)) {
    const before = plainAddress(hops.pop() ?? '')
    if (isIP(before) === 0) break
    address = before
  }
  return address
}

/** As {@link resolveClientAddress}, for what frameworks do not see. */
export function requestAddress({ socket, headers }: IncomingMessage, trusted: Proxies): string {
  const forwarded = headers['x-forwarded-for']
  const text = Array.isArray(forwarded) ? forwarded.join(',') : forwarded
  return resolveClientAddress(socket.remoteAddress, text, trusted)
}

/** Finds out whose requests these are, for limits and lists of sign-ins. */
export function clientAddress(trusted: Proxies): MiddlewareHandler<ServerEnv> {
  return async (context, next) => {
    context.set('clientAddress', requestAddress(context.env.incoming, trusted))
    await next()
  }
}

/** The address a request came from; see {@link resolveClientAddress}. */
export function clientAddressOf(context: Context<ServerEnv>): string {
  return context.get('clientAddress') ?? context.env.incoming.socket.remoteAddress ?? ''
}

function isTrusted(address: string, trusted: Proxies): boolean {
  const family = isIP(address)
  return family !== 0 && trusted.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** Without port and brackets; an IPv4 address that came in over IPv6 as what it is. */
function plainAddress(text: string): string {
  if (isIPv4(text)) return text
  const bare = text.trim().replace(/^\[(.*)\](?::\d+)?$/, '$1')
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1]
  return mapped ?? bare.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1')
}
