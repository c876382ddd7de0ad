import { createHash } from 'node:crypto'

import { OciError } from './errors.ts'

/** The algorithms we store under: the two that the image spec registers. */
export type DigestAlgorithm = 'sha256' | 'sha512'

declare const digestBrand: unique symbol

/** `sha256:<64 hex>` or `sha512:<128 hex>`, lower case, checked by {@link parseDigest}. */
export type Digest = string & { readonly [digestBrand]: true }

const hexLengths: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 }

const grammar = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** Whether the text is a digest that we can compute. */
export function isDigest(text: string): text is Digest {
  return grammar.test(text)
}

/**
 * Reads a digest. Upper-case hex is refused, as the image spec says ("MUST match the regular expression
 * `/[a-f0-9]{64}/`"): two spellings of one digest would be two blobs.
 *
 * @throws OciError DIGEST_INVALID
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  throw new OciError('DIGEST_INVALID', reason(text))
}

function reason(text: string): string {
  const separator = text.indexOf(':')
  if (separator < 0) return 'digest is not of the form <algorithm>:<hex>'
  const algorithm = text.slice(0, separator)
  if (!Object.hasOwn(hexLengths, algorithm)) return 'digest algorithm is not supported (sha256, sha512)'
  return `digest is not ${algorithm} and ${hexLengths[algorithm as DigestAlgorithm]} lower-case hex digits`
}

/** The part before the colon. */
export function digestAlgorithm(digest: Digest): DigestAlgorithm {
  return digest.startsWith('sha256:') ? 'sha256' : 'sha512'
}

/** The part after the colon. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}

/**
 * Puts a digest together from an algorithm and the hex a hasher gave.
 *
 * @throws OciError DIGEST_INVALID when the hex does not fit
 */
export function formatDigest(algorithm: DigestAlgorithm, hex: string): Digest {
  return parseDigest(`${algorithm}:${hex}`)
}

/** Digest of bytes held in memory (manifests; blobs are hashed as they flow). */
export function digestOfBytes(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return formatDigest(algorithm, createHash(algorithm).update(bytes).digest('hex'))
}
