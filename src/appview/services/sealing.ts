import { createCipheriv, createDecipheriv, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/**
 * Seals text for the database: AES-256-GCM under the key file, bound to what it belongs to (`context`, e.g. the DID),
 * so that a row copied to another account does not open. Form: `v1.<base64url of nonce, tag, ciphertext>`.
 */
export class Sealing {
  readonly #sealKey: Buffer
  readonly #hashKey: Buffer
  readonly #signKey: Buffer

  constructor(key: Buffer) {
    this.#sealKey = createHmac('sha256', key).update('atcr seal').digest()
    this.#hashKey = createHmac('sha256', key).update('atcr password').digest()
    this.#signKey = createHmac('sha256', key).update('atcr sign').digest()
  }

  seal(text: string, context: string): string {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.#sealKey, nonce).setAAD(Buffer.from(context))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return `v1.${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64url')}`
  }

  /** The text, or `undefined` when it was sealed with another key, for another context, or is damaged. */
  open(sealed: string, context: string): string | undefined {
    if (!sealed.startsWith('v1.')) return undefined
    const bytes = Buffer.from(sealed.slice(3), 'base64url')
    if (bytes.byteLength < 28) return undefined
    const decipher = createDecipheriv('aes-256-gcm', this.#sealKey, bytes.subarray(0, 12))
      .setAAD(Buffer.from(context))
      .setAuthTag(bytes.subarray(12, 28))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
    } catch {
      return undefined
    }
  }

  /** A keyed hash by which a password is known again; without the key file it cannot be guessed from the database. */
  passwordHash(did: string, password: string): string {
    return createHmac('sha256', this.#hashKey).update(`${did}\0${password}`).digest('base64url')
  }

  /** A signature of text for one purpose (22 characters), by which something we gave away is known again. */
  sign(purpose: string, text: string): string {
    return createHmac('sha256', this.#signKey).update(`${purpose}\0${text}`).digest('base64url').slice(0, 22)
  }

  /** Whether {@link sign} made this signature. */
  isSigned(purpose: string, text: string, signature: string): boolean {
    const [expected, given] = [Buffer.from(this.sign(purpose, text)), Buffer.from(signature)]
    return expected.byteLength === given.byteLength && timingSafeEqual(expected, given)
  }
}
