import { isIP } from 'node:net'

import { z } from 'zod'

/** Settings with a grammar that both servers have, checked where they are read. */

const shown = (value: unknown) => JSON.stringify(value)?.slice(0, 100)

/** `did:plc:…`, `did:web:…`; also with a port that is not encoded, as older holds write it. */
export const did = () =>
  z.string().regex(/^did:[a-z0-9]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]$/, {
    error: ({ input }) => `expected a DID such as did:plc:abc… or did:web:hold.example, got ${shown(input)}`,
  })

const handleGrammar = /^@?(?:[a-z0-9-]{1,63}\.)+[a-z][a-z0-9-]{0,62}$/i

/** A DID, or a handle such as `alice.example`. */
export const actor = () =>
  z.string().refine((text) => did().safeParse(text).success || handleGrammar.test(text), {
    error: ({ input }) => `expected a handle or a DID such as alice.example, got ${shown(input)}`,
  })

/** What a server listens on: `:5000`, `127.0.0.1:5000`, `[::1]:5000`. */
export const listenAddress = () =>
  z.string().refine((text) => Number(/^.*:(\d{1,5})$/.exec(text)?.[1] ?? Infinity) <= 65_535, {
    error: ({ input }) => `expected an address such as :5000 or 127.0.0.1:5000, got ${shown(input)}`,
  })

/** IP addresses and networks: `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`. */
export const networks = () =>
  z.array(
    z.string().refine(isNetwork, {
      error: ({ input }) =>
        `expected an IP address or network such as 127.0.0.1 or 10.0.0.0/8, got ${shown(input)}`,
    }),
  )

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  const isPrefix = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
  return family !== 0 && isPrefix && rest.length === 0
}

/** Where others reach a server: an http or https address with nothing after the host. */
export const origin = () =>
  z.string().refine(isOrigin, {
    error: ({ input }) =>
      `expected an address without a path, such as https://atcr.example, got ${shown(input)}`,
  })

function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return (
    (url?.protocol === 'https:' || url?.protocol === 'http:') &&
    url.pathname === '/' &&
    url.search + url.hash + url.username + url.password === ''
  )
}

/** A host name as it stands in front of an image name, with its port if it has one. */
export const registryDomain = () =>
  z.string().regex(/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/, {
    error: ({ input }) =>
      `expected a host name such as images.example, in small letters, got ${shown(input)}`,
  })

/** An address of a page: only those that a link may lead to. */
export const pageUrl = () =>
  z.url({ protocol: /^(?:https?|mailto)$/, error: ({ input }) => `expected an address of a page, got ${shown(input)}` }) // prettier-ignore

/** Whether strangers on the way can read along: plain http to another machine. */
export function isPlainHttpElsewhere(url: string): boolean {
  const parsed = URL.parse(url)
  const isLoopback = /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(parsed?.hostname ?? '')
  return parsed?.protocol === 'http:' && !isLoopback
}

/** What is wrong with the settings of a libSQL replica. `section` and `otherUrl` name them in the file. */
export function libsqlContradictions(
  settings: { libsql_sync_url?: string | undefined; libsql_auth_token?: unknown },
  { section, otherUrl }: { section: string; otherUrl: string | undefined },
): string[] {
  const { libsql_auth_token: token, libsql_sync_url: url } = settings
  return [
    ...(url !== undefined && otherUrl !== undefined
      ? [`${section}.libsql_sync_url and ${section}.${otherUrl} are both set: one database or the other`]
      : []),
    ...(url === undefined && token !== undefined
      ? [`${section}.libsql_auth_token is set without ${section}.libsql_sync_url, the server it is for`]
      : []),
  ]
}
