import { createPrivateKey, generateKeyPair, randomBytes, X509Certificate, type KeyObject } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

import { keepOldFile, parseOldFileTime, readOrCreateSecretFile, writeNewFile } from '../../lib/whole-file.ts'
import { selfSignedCertificate } from './certificate.ts'

/** Where the key that signs registry tokens is, and its certificate. */
export interface RegistryKeyPaths {
  key: string
  certificate: string
}

/** The RSA key that signs registry tokens, read from its file, or made there on first run; its certificate beside it. */
export async function loadRegistryKey(
  paths: RegistryKeyPaths,
  options: { commonName: string; now: Date },
): Promise<KeyObject> {
  const key = parseKey(paths.key, await readOrCreateSecretFile(paths.key, createPem))
  await ensureCertificate(paths.certificate, key, options)
  return key
}

/** The key as it is in its file just now. */
export async function readRegistryKey(path: string): Promise<KeyObject> {
  return parseKey(path, await readFile(path, 'utf8'))
}

/** A key that was replaced, and when. */
export interface RetiredKey {
  key: KeyObject
  path: string
  retiredAt: Date
}

/** Keys beside the one in this file that were replaced, and not because somebody else may have seen them. */
export async function listRetiredKeys(path: string, after: Date): Promise<RetiredKey[]> {
  const retired: RetiredKey[] = []
  for (const name of await readdir(dirname(path))) {
    const retiredAt = name.startsWith(`${basename(path)}.`) ? parseOldFileTime(name, 'until') : undefined
    if (retiredAt === undefined || retiredAt <= after) continue
    const oldPath = join(dirname(path), name)
    retired.push({ key: await readRegistryKey(oldPath), path: oldPath, retiredAt })
  }
  return retired
}

/**
 * Puts a new key, and a certificate of it, in the place of the present ones, which stay beside them. Tokens of the old
 * key are taken until they expire, unless it is `isCompromised`. Resolves to the new key and to where the old one is.
 */
export async function rotateRegistryKey(
  paths: RegistryKeyPaths,
  options: { commonName: string; now: Date; isCompromised: boolean },
): Promise<{ key: KeyObject; oldPath: string }> {
  await readRegistryKey(paths.key)
  const pem = await createPem()
  const oldPath = await keepOldFile(paths.key, options.isCompromised ? 'revoked' : 'until', options.now)
  await writeNewFile(paths.key, pem, 0o600)
  const key = parseKey(paths.key, pem)
  await ensureCertificate(paths.certificate, key, options)
  return { key, oldPath }
}

async function createPem(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

function parseKey(path: string, pem: string): KeyObject {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'rsa') throw new Error(`${path} holds no RSA key`)
  return key
}

/** The file holds a certificate of this key; one of another key, as after a rotation, is kept beside it. */
async function ensureCertificate(
  path: string,
  key: KeyObject,
  { commonName, now }: { commonName: string; now: Date },
): Promise<void> {
  const create = () => selfSignedCertificate(key, { commonName, notBefore: now, days: 3650 })
  const pem = await readOrCreateSecretFile(path, async () => create())
  if (new X509Certificate(pem).checkPrivateKey(key)) return
  await keepOldFile(path, 'until', now)
  await writeNewFile(path, create(), 0o600)
}

/** 32 random bytes that seal tokens at rest; losing the file only makes everyone sign in again. */
export async function loadSealingKey(path: string): Promise<Buffer> {
  const text = await readOrCreateSecretFile(path, async () => `${randomBytes(32).toString('base64')}\n`)
  const key = Buffer.from(text.trim(), 'base64')
  if (key.byteLength !== 32) throw new Error(`${path} does not hold 32 bytes in base64`)
  return key
}
