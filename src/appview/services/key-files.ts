import { createPrivateKey, generateKeyPair, randomBytes, type KeyObject } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

import { selfSignedCertificate } from './certificate.ts'

/** The RSA key that signs registry tokens, read from its file, or made there (with its certificate) on first run. */
export async function loadRegistryKey(
  paths: { key: string; certificate: string },
  options: { commonName: string; now: Date },
): Promise<KeyObject> {
  const pem = await readOrCreate(paths.key, async () => {
    const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
    return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  })
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyType !== 'rsa') throw new Error(`${paths.key} holds no RSA key`)
  await readOrCreate(paths.certificate, async () =>
    selfSignedCertificate(key, { commonName: options.commonName, notBefore: options.now, days: 3650 }),
  )
  return key
}

/** 32 random bytes that seal tokens at rest; losing the file only makes everyone sign in again. */
export async function loadSealingKey(path: string): Promise<Buffer> {
  const text = await readOrCreate(path, async () => `${randomBytes(32).toString('base64')}\n`)
  const key = Buffer.from(text.trim(), 'base64')
  if (key.byteLength !== 32) throw new Error(`${path} does not hold 32 bytes in base64`)
  return key
}

/** The file's content; when it is missing, what `create` gives, written with mode 0600 and never over another's. */
async function readOrCreate(path: string, create: () => Promise<string>): Promise<string> {
  const existing = await readIfPresent(path)
  if (existing !== undefined) return existing
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, await create(), { mode: 0o600, flush: true })
  // Two instances on one folder may start at once: link fails where the other was first, and both read his file.
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await rm(draft)
  return readFile(path, 'utf8')
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
