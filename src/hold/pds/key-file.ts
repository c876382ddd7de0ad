import { mkdir, open, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'

/**
 * The key (K-256) that signs the data repo, made at first run. The file holds 64 hex digits, readable by its owner only; 32
 * raw bytes, as other holds write them, are read as well.
 */
export async function loadOrCreateSigningKey(path: string): Promise<Secp256k1Keypair> {
  const present = await readIfThere(path)
  if (present !== undefined) return await importKey(path, present)
  const key = await Secp256k1Keypair.create({ exportable: true })
  await writeNewFile(path, `${Buffer.from(await key.export()).toString('hex')}\n`, 0o600)
  return key
}

/** Writes a file that must not be there yet and is on disk when this resolves; folders are made as needed. */
export async function writeNewFile(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await using file = await open(path, 'wx', mode)
  await file.writeFile(text)
  await file.sync()
}

export async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

async function importKey(path: string, content: Buffer): Promise<Secp256k1Keypair> {
  const text = content.toString('latin1').trim()
  const isHex = /^[0-9a-f]{64}$/i.test(text)
  if (!isHex && content.byteLength !== 32)
    throw new Error(`${path} is not a K-256 key: expected 64 hex digits`)
  return await Secp256k1Keypair.import(isHex ? text : new Uint8Array(content), { exportable: true })
}
