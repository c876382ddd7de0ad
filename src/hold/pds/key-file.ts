import { Secp256k1Keypair } from '@atproto/crypto'

import type { Now } from '../../lib/clock.ts'
import { keepOldFile, readIfThere, writeNewFile } from '../../lib/whole-file.ts'

/**
 * A key (K-256) kept in a file, made when it is not there. The file holds 64 hex digits, readable by its owner only; 32 raw
 * bytes, as other holds write them, are read as well.
 */
export async function loadOrCreateKey(path: string): Promise<Secp256k1Keypair> {
  return (await findKey(path)) ?? (await createKey(path))
}

/** The key in a file; undefined when there is no such file. */
export async function findKey(path: string): Promise<Secp256k1Keypair | undefined> {
  const content = await readIfThere(path)
  if (content === undefined) return undefined
  const text = content.toString('latin1').trim()
  const isHex = /^[0-9a-f]{64}$/i.test(text)
  if (!isHex && content.byteLength !== 32)
    throw new Error(`${path} is not a K-256 key: expected 64 hex digits`)
  return await Secp256k1Keypair.import(isHex ? text : new Uint8Array(content), { exportable: true })
}

/** Makes a key and writes it to a file, in the place of what was there. */
export async function createKey(path: string): Promise<Secp256k1Keypair> {
  const key = await Secp256k1Keypair.create({ exportable: true })
  await writeNewFile(path, `${Buffer.from(await key.export()).toString('hex')}\n`, 0o600)
  return key
}

/**
 * Puts a new key in the place of the one in a file, which is kept beside it; at every moment the file holds one of the two.
 * Resolves to the new key and to where the old one is.
 */
export async function replaceKey(
  path: string,
  now: Now,
): Promise<{ key: Secp256k1Keypair; oldPath: string }> {
  const oldPath = await keepOldFile(path, 'until', now())
  return { key: await createKey(path), oldPath }
}
