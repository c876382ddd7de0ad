import { hkdfSync, randomBytes } from 'node:crypto'

import { SettingsError } from '../../lib/config.ts'
import { readIfThere, writeNewFile } from '../../lib/whole-file.ts'

/** The one secret that the hold's own signatures come from; the file is made at first start, 0600. */
export async function loadOrCreateSecret(path: string): Promise<Uint8Array> {
  const known = (await readIfThere(path))?.toString('utf8').trim()
  if (known !== undefined) {
    if (!/^[0-9a-f]{64}$/.test(known)) throw new SettingsError([`${path}: expected 64 hex digits`])
    return Buffer.from(known, 'hex')
  }
  const secret = randomBytes(32)
  await writeNewFile(path, `${secret.toString('hex')}\n`, 0o600)
  return secret
}

/** A key for one purpose, so that what is signed for one is worth nothing for another. */
export function keyFor(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', purpose, 32))
}
