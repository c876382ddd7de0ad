import type { IncomingMessage } from 'node:http'

/** Which of the two programs answers. */
export type Room = 'appview' | 'hold'

/**
 * The paths of the hold where it shares a host name with the AppView, which has all others. Both have `/`, `/health` and
 * `/robots.txt`, and the AppView answers there. `/oauth/jwks.json` is the AppView's, the hold names its keys elsewhere.
 */
const holdPaths = [
  /^\/xrpc(?:\/|$)/,
  /^\/\.well-known\/(?:did\.json|atproto-did)$/,
  /^\/admin(?:\/|$)/,
  /^\/oauth\/client-metadata\.json$/,
  /^\/register(?:\/|$)/,
  // Signed addresses of blobs.
  /^\/blobs\//,
  // Direct uploads. No repository is called so: at the AppView names begin with a handle or a DID.
  /^\/v2\/direct\/blobs\/uploads\//,
  // Their names carry their digest, and the logo is the same in both.
  /^\/assets\/(?:hold|logo)-/,
]

/**
 * Says whose a request is: by its path where both are at one address (`undefined`), else by `Host`; names that nobody
 * told of are the AppView's.
 */
export function roomChooser(addresses: Record<Room, URL> | undefined): (request: IncomingMessage) => Room {
  const byPath = (path: string): Room => (holdPaths.some((it) => it.test(path)) ? 'hold' : 'appview')
  if (addresses === undefined) return (request) => byPath(targetOf(request).path)
  const { appview, hold } = addresses
  // Where the name alone does not tell, the port has to; else that is the proxy's business.
  const key = appview.hostname === hold.hostname ? 'host' : 'hostname'
  return (request) => {
    const { host, path } = targetOf(request)
    const asked = URL.parse(`${hold.protocol}//${host}`)
    if (asked?.[key] === hold[key]) return 'hold'
    // Over plain http signing in ends at 127.0.0.1 for both: there paths tell them apart.
    const isSignInName = hold.protocol === 'http:' && asked?.hostname === '127.0.0.1'
    return isSignInName ? byPath(path) : 'appview'
  }
}

/** Host and path as they were sent; a request to a proxy has both in its first line. */
function targetOf({ headers, url = '/' }: IncomingMessage): { host: string; path: string } {
  const [, host, rest] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(url) ?? []
  const [path = ''] = (rest ?? url).split('?', 1)
  return { host: host ?? headers.host ?? '', path }
}
