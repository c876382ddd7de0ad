import { createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

import { sha256Hex } from '../lib/ids.ts'

/** A P-256 key by which an OAuth client proves that it is itself (`private_key_jwt`). */
export interface OAuthKey {
  pem: string
  /** Changes with the key: servers look it up in the JWKS by this. */
  kid: string
}

/** The key in a file (PKCS#8), made there at first use, for its owner's eyes only. */
export async function loadOrCreateOAuthKey(path: string): Promise<OAuthKey> {
  const pem = (await readIfPresent(path)) ?? (await createKeyFile(path))
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error(`${path} holds no P-256 key`)
  const publicBytes = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return { pem, kid: sha256Hex(publicBytes).slice(0, 16) }
}

async function createKeyFile(path: string): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFile(path, pem, { flag: 'wx', mode: 0o600, flush: true })
  return pem
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
