/** A registry as clients name it, and where it answers. */
export interface Registry {
  /** `registry.example` or `localhost:5000`, in lower case, as it stands in names of images. */
  host: string
  /** `https://registry.example`; plain HTTP only on this machine. */
  origin: string
}

const lengthMax = 512

/**
 * The registry that a client or a person means: `host`, `host:port`, `https://host`, `https://host/v1/`, `http://…`. A path
 * says nothing: Docker Hub's was `/v1/`. `undefined` where there is no host in it, or no web address.
 */
export function parseRegistry(text: string): Registry | undefined {
  const trimmed = text.trim()
  if (trimmed.length > lengthMax || /[\s\p{Cc}@\\]/u.test(trimmed)) return undefined
  const isBare = !trimmed.includes('://')
  const address = isBare ? `https://${trimmed.replace(/^\/\//, '')}` : trimmed
  if (!/^https?:\/\//i.test(address) || !URL.canParse(address)) return undefined
  const { protocol, host, hostname } = new URL(address)
  if (hostname === '') return undefined
  const isPlain = isBare ? isLoopback(hostname) : protocol === 'http:'
  return { host, origin: `${isPlain ? 'http' : 'https'}://${host}` }
}

/** Whether a host name is this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3): the only one spoken to in plain HTTP. */
export function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/i.test(hostname)
}
