import { createHash, randomBytes } from 'node:crypto'

/** `bytes` bytes of randomness as base64url without padding (22 characters for 16 bytes). */
export function randomId(bytes = 16): string {
  return randomBytes(bytes).toString('base64url')
}

/** Lower-case hex sha256 of text or bytes. */
export function sha256Hex(input: string | Uint8Array): string {
  return createHash('sha256').update(input).digest('hex')
}
