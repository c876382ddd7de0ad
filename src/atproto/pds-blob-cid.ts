import { cidForRawHash } from '@atproto/lex'

/** The CID under which every PDS keeps the bytes with this sha256 (64 hex digits): CIDv1, raw, sha-256. */
export function pdsBlobCid(sha256Hex: string): string {
  return cidForRawHash(Buffer.from(sha256Hex, 'hex')).toString()
}
