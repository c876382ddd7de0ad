/** Longest first where one begins like another. */
const beginnings: readonly [beginning: string, route: string][] = [
  ['/auth/token', 'token'],
  ['/auth/', 'sign-in'],
  ['/oauth', 'sign-in'],
  ['/device', 'sign-in'],
  ['/login', 'sign-in'],
  ['/install', 'install'],
  ['/assets/', 'asset'],
  ['/health', 'health'],
  ['/ready', 'health'],
]

/** A request target as one of a few words, for metrics: never a name, so that strangers cannot make more of them. */
export function routeClassOf(target: string): string {
  const queryAt = target.indexOf('?')
  const path = queryAt < 0 ? target : target.slice(0, queryAt)
  if (path === '/v2/' || path === '/v2') return 'base'
  if (path.startsWith('/v2/')) return registryClassOf(path)
  return beginnings.find(([beginning]) => path.startsWith(beginning))?.[1] ?? 'page'
}

function registryClassOf(path: string): string {
  const end = path.lastIndexOf('/')
  const before = path.lastIndexOf('/', end - 1)
  switch (path.slice(before + 1, end)) {
    case 'manifests':
      return 'manifest'
    case 'blobs':
      // `…/blobs/uploads`, which some clients write without the slash at its end.
      return path.endsWith('/uploads') ? 'upload' : 'blob'
    case 'uploads':
      return 'upload'
    case 'tags':
      return 'tags'
    case 'referrers':
      return 'referrers'
    default:
      return 'registry'
  }
}
