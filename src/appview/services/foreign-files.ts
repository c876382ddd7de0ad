import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { collectBytes } from '../../lib/streams.ts'

const redirectCountMax = 3

/** A file of somebody's web server. */
export interface ForeignFile {
  bytes: Uint8Array
  /** The media type, without parameters. */
  type: string
}

/**
 * Reads a file that a stranger named: no cookies, no referrer, a few redirects, each guarded like the first call.
 * Undefined where it is not to be had, or is bigger than `bytesMax`.
 */
export async function findForeignFile(
  fetch: Fetch,
  address: string,
  { accept, bytesMax }: { accept: string; bytesMax: number },
): Promise<ForeignFile | undefined> {
  try {
    let url = new URL(address)
    for (let redirects = 0; redirects <= redirectCountMax; redirects++) {
      const response = await fetch(url.href, {
        headers: { accept },
        redirect: 'manual',
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
      })
      const location = response.headers.get('location')
      if (response.ok && response.body !== null) {
        const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
        return { bytes: await collectBytes(response.body, bytesMax), type: type.trim().toLowerCase() }
      }
      await response.body?.cancel()
      if (response.status < 300 || response.status > 399 || location === null) return undefined
      url = new URL(location, url)
    }
  } catch {
    // Whatever a stranger's server does: it is not to be had.
  }
  return undefined
}
