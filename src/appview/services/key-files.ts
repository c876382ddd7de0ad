import { createPrivateKey, generateKeyPair, randomBytes, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

import { readOrCreateSecretFile } from '../../lib/secret-file.ts'
import { selfSignedCertificate } from './certificate.ts'

/** The RSA key that signs registry tokens, read from its file, or made there (with its certificate) on first run. */
export async function loadRegistryKey(
  paths: { key: string; certificate: string },
  options: { commonName: string; now: Date },
): Promise<KeyObject> {
  const pem = await readOrCreateSecretFile(paths.key, async () => {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  })
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'rsa') throw new Error(`${paths.key} holds no RSA key`)
  await readOrCreateSecretFile(paths.certificate, async () =>
    selfSignedCertificate(key, { commonName: options.commonName, notBefore: options.now, days: 3650 }),
  )
  return key
}

/** 32 random bytes that seal tokens at rest; losing the file only makes everyone sign in again. */
export async function loadSealingKey(path: string): Promise<Buffer> {
  const text = await readOrCreateSecretFile(path, async () => `${randomBytes(32).toString('base64')}\n`)
  const key = Buffer.from(text.trim(), 'base64')
  if (key.byteLength !== 32) throw new Error(`${path} does not hold 32 bytes in base64`)
  return key
}
