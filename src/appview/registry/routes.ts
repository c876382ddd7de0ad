import { OciError } from '../../protocol/oci/errors.ts'

/** A path below `/v2/`, taken apart; texts are percent-decoded but not checked further, except `name`. */
export type RegistryRoute =
  | { kind: 'base' }
  | { kind: 'manifest'; name: string; reference: string }
  | { kind: 'blob'; name: string; digest: string }
  | { kind: 'uploads'; name: string }
  | { kind: 'upload'; name: string; uploadId: string }
  | { kind: 'tags'; name: string }
  | { kind: 'referrers'; name: string; digest: string }

/**
 * Takes the raw path of a request apart (no query). Raw, because a URL parser would resolve `..` and hide what was
 * asked. A name may hold the words of the grammar itself (`alice.test/blobs/manifests`), so the last ones count.
 * @throws {OciError} `ENDPOINT_UNKNOWN`
 */
export function parseRegistryPath(path: string): RegistryRoute {
  if (path === '/v2' || path === '/v2/') return { kind: 'base' }
  const rest = path.startsWith('/v2/') ? path.slice(4) : ''
  const match =
    /^(?<name>.+)\/manifests\/(?<reference>[^/]*)$/.exec(rest) ??
    /^(?<name>.+)\/blobs\/(?<uploads>uploads)\/?$/.exec(rest) ??
    /^(?<name>.+)\/blobs\/uploads\/(?<uploadId>[^/]+)$/.exec(rest) ??
    /^(?<name>.+)\/blobs\/(?<digest>[^/]*)$/.exec(rest) ??
    /^(?<name>.+)\/(?<tags>tags)\/list$/.exec(rest) ??
    /^(?<name>.+)\/referrers\/(?<subject>[^/]*)$/.exec(rest)
  const { name, reference, uploads, uploadId, digest, tags, subject } = match?.groups ?? {}
  if (name === undefined) throw new OciError('ENDPOINT_UNKNOWN')
  if (reference !== undefined) return { kind: 'manifest', name, reference: decode(reference) }
  if (uploads !== undefined) return { kind: 'uploads', name }
  if (uploadId !== undefined) return { kind: 'upload', name, uploadId: decode(uploadId) }
  if (digest !== undefined) return { kind: 'blob', name, digest: decode(digest) }
  if (tags !== undefined) return { kind: 'tags', name }
  return { kind: 'referrers', name, digest: decode(subject ?? '') }
}

/** Percent-decoding that leaves alone what is no encoding: the grammar behind it refuses it then. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
