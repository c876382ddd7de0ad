import { createPrivateKey, createPublicKey, generateKeyPair } from 'node:crypto'
import { promisify } from 'node:util'

import { sha256Hex } from '../lib/ids.ts'
import { readOrCreateSecretFile } from '../lib/whole-file.ts'

/** A P-256 key by which an OAuth client proves that it is itself (`private_key_jwt`). */
export interface OAuthKey {
  pem: string
  /** Changes with the key: servers look it up in the JWKS by this. */
  kid: string
}

/**
 * The keys in a file (PKCS#8), for its owner's eyes only; one is made there at first use. New logins are made with the
 * first; a session stays with the key it was begun with. To change keys, put the new one at the end, and at the top when
 * servers have had time to read it there (they keep key sets for a while); take the old one out when its sessions may end.
 */
export async function loadOrCreateOAuthKeys(path: string): Promise<OAuthKey[]> {
  const text = await readOrCreateSecretFile(path, createPem)
  const pems = text.match(/-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/g) ?? []
  if (pems.length === 0) throw new Error(`${path} holds no P-256 key`)
  return pems.map((pem) => readKey(pem, path))
}

function readKey(pem: string, path: string): OAuthKey {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error(`${path} holds a key that is not P-256`)
  const publicBytes = createPublicKey(key).export({ type: 'spki', format: 'der' })
  return { pem, kid: sha256Hex(publicBytes).slice(0, 16) }
}

async function createPem(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}
