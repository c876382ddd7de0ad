import type { StoredAccount } from './credentials.ts'
import { Keyring, KeyringError, keyringKey } from './keyring.ts'

export interface SecretsNeeds {
  /** Where new secrets go; `undefined`: to the file. */
  keyring: string | undefined
  warn: (line: string) => void
}

/** A client waits for it. */
const getTimeoutMs = 3000
/** A person may have to unlock it first. */
const changeTimeoutMs = 30_000

/** The secrets of accounts, wherever each of them is. */
export class Secrets {
  readonly #keyring: string | undefined
  readonly #warn: (line: string) => void

  constructor({ keyring, warn }: SecretsNeeds) {
    this.#keyring = keyring
    this.#warn = warn
  }

  /** @throws {KeyringError} when a keyring has it and does not give it */
  get(host: string, { name, secret, keyring }: StoredAccount): string {
    if (secret !== undefined) return secret
    return new Keyring(keyring ?? 'file').get(keyringKey(host, name), getTimeoutMs)
  }

  /** An account to be written to the file, after its secret went to the keyring where there is one that works. */
  keep(host: string, account: { name: string; did?: string }, secret: string): StoredAccount {
    if (this.#keyring === undefined) return { ...account, secret }
    try {
      const keyring = new Keyring(this.#keyring)
      keyring.put(keyringKey(host, account.name), account.name, secret, changeTimeoutMs)
      return { ...account, keyring: keyring.name }
    } catch (error) {
      if (!(error instanceof KeyringError)) throw error
      this.#warn(`${error.message}; the secret goes to a file that only you can read instead`)
      return { ...account, secret }
    }
  }

  /** Removes what a keyring has of an account; what cannot be removed is told, and nothing more. */
  forget(host: string, { name, keyring }: StoredAccount): void {
    if (keyring === undefined) return
    try {
      new Keyring(keyring).delete(keyringKey(host, name), changeTimeoutMs)
    } catch (error) {
      if (!(error instanceof KeyringError)) throw error
      this.#warn(`the secret of ${name} may still be there: ${error.message}`)
    }
  }
}
