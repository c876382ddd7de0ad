import { setGlobalProxyFromEnv } from 'node:http'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'

import type { Fetch } from './registry-client.ts'

/** This process's way to the network: by the proxies of the environment, trusting also whom the system trusts. */
export function networkFetch(): Fetch {
  setGlobalProxyFromEnv()
  setDefaultCACertificates([...getCACertificates('default'), ...getCACertificates('system')])
  return (url, init) => fetch(url, init)
}
