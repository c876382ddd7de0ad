import { createPublicKey, hash, type KeyObject } from 'node:crypto'

import type { Now } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { listRetiredKeys, loadRegistryKey, readRegistryKey, type RegistryKeyPaths } from './key-files.ts'

/** How long after a rotation tokens of the old key are taken: as long as they live, and until all instances know. */
export const keyOverlapSeconds = 10 * 60
/** How soon every instance over one folder signs with the new key, and takes a revoked one no more. */
export const keyReadSeconds = 30
/** A key nobody knows is looked for no more often than this, however many claim to have one. */
const lookSeconds = 1

/** A key that signs registry tokens, by the name it has in them (`kid`). */
export interface RegistryKey {
  id: string
  privateKey: KeyObject
}

interface Needs {
  paths: RegistryKeyPaths
  now: Now
  log: Logger
}

interface KnownKeys {
  readAtMs: number
  current: RegistryKey
  /** All that are taken, by name, until when. */
  accepted: Map<string, { publicKey: KeyObject; untilMs: number }>
}

/**
 * The keys of registry tokens, as they are in their folder: the present one signs, those it replaced are taken for a
 * while. Several instances may share the folder; a rotation needs no restart.
 */
export class RegistryKeys {
  readonly #needs: Needs
  #known: KnownKeys
  #reading: Promise<void> | undefined

  private constructor(needs: Needs, known: KnownKeys) {
    this.#needs = needs
    this.#known = known
  }

  /** Makes key and certificate where there are none. `commonName`: of the certificate. */
  static async open({ commonName, ...needs }: Needs & { commonName: string }): Promise<RegistryKeys> {
    await loadRegistryKey(needs.paths, { commonName, now: needs.now() })
    return new RegistryKeys(needs, await readKeys(needs.paths.key, needs.now()))
  }

  /** The key that signs. */
  async current(): Promise<RegistryKey> {
    await this.#readAfter(keyReadSeconds)
    return this.#known.current
  }

  /** The key of a token by its `kid`, which is compared and nothing else; undefined when it is not taken. */
  async find(id: string): Promise<KeyObject | undefined> {
    await this.#readAfter(keyReadSeconds)
    // It may be so new that another instance was the first to sign with it.
    if (!this.#known.accepted.has(id)) await this.#readAfter(lookSeconds)
    const found = this.#known.accepted.get(id)
    return found !== undefined && found.untilMs > this.#needs.now().getTime() ? found.publicKey : undefined
  }

  async #readAfter(seconds: number): Promise<void> {
    if (this.#needs.now().getTime() - this.#known.readAtMs < seconds * 1000) return
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
    await this.#reading
  }

  /** A folder that cannot be read just now is no reason to stop. */
  async #read(): Promise<void> {
    const { paths, now, log } = this.#needs
    try {
      this.#known = await readKeys(paths.key, now())
    } catch (err) {
      this.#known = { ...this.#known, readAtMs: now().getTime() }
      log.error({ err }, 'the key of registry tokens could not be read again; going on with the one known')
    }
  }
}

async function readKeys(path: string, now: Date): Promise<KnownKeys> {
  const privateKey = await readRegistryKey(path)
  const current = { id: keyId(privateKey), privateKey }
  const accepted: KnownKeys['accepted'] = new Map()
  const overlapMs = keyOverlapSeconds * 1000
  for (const { key, retiredAt } of await listRetiredKeys(path, new Date(now.getTime() - overlapMs)))
    accepted.set(keyId(key), { publicKey: createPublicKey(key), untilMs: retiredAt.getTime() + overlapMs })
  const publicKey = createPublicKey(privateKey)
  accepted.set(current.id, { publicKey, untilMs: Number.POSITIVE_INFINITY })
  return { readAtMs: now.getTime(), current, accepted }
}

/** The JWK thumbprint (RFC 7638, sha256) of an RSA key. */
export function keyId(key: KeyObject): string {
  const { e, kty, n } = createPublicKey(key).export({ format: 'jwk' })
  return hash('sha256', JSON.stringify({ e, kty, n }), 'base64url')
}
