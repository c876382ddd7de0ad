import { createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'

import { sha256Hex } from '../lib/ids.ts'
import { readOrCreateSecretFile } from '../lib/secret-file.ts'

/** A P-256 key by which an OAuth client proves that it is itself (`private_key_jwt`). */
export interface OAuthKey {
  pem: string
  /** Changes with the key: servers look it up in the JWKS by this. */
  kid: string
}

/** The key in a file (PKCS#8), made there at first use, for its owner's eyes only. */
export async function loadOrCreateOAuthKey(path: string): Promise<OAuthKey> {
  const pem = await readOrCreateSecretFile(path, createPem)
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error(`${path} holds no P-256 key`)
  const publicBytes = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return { pem, kid: sha256Hex(publicBytes).slice(0, 16) }
}

async function createPem(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}
