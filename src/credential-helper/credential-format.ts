import type { Credentials, StoredAccount, StoredRegistry } from './credentials.ts'

/** The file cannot be understood; it stays as it is, or is put aside, and is never overwritten. */
export class DamagedFileError extends Error {
  override name = 'DamagedFileError'
}

/** A later version of this program wrote the file. */
export class NewerFileError extends Error {
  override name = 'NewerFileError'
}

const version = 1

/** The text of the file. */
export function formatCredentials(credentials: Credentials): string {
  const registries = Object.fromEntries(
    [...credentials.values()].map(({ host, origin, active, accounts }) => [
      host,
      { origin, active, accounts },
    ]),
  )
  return `${JSON.stringify({ version, registries }, undefined, 2)}\n`
}

/** @throws {DamagedFileError} @throws {NewerFileError} */
export function parseCredentials(text: string): Credentials {
  const file = parseJson(text)
  if (!isObject(file) || typeof file['version'] !== 'number') throw new DamagedFileError('it has no version')
  if (file['version'] > version) {
    throw new NewerFileError(`it is of version ${file['version']}, and this program knows ${version}`)
  }
  if (!isObject(file['registries'])) throw new DamagedFileError('it has no registries')
  return new Map(
    Object.entries(file['registries']).map(([host, entry]) => [host, parseStoredRegistry(host, entry)]),
  )
}

function parseStoredRegistry(host: string, entry: unknown): StoredRegistry {
  if (!isObject(entry)) throw new DamagedFileError(`registries.${host} is no object`)
  const { origin, active, accounts } = entry
  if (typeof origin !== 'string' || typeof active !== 'string' || !Array.isArray(accounts)) {
    throw new DamagedFileError(`registries.${host} lacks origin, active or accounts`)
  }
  return { host, origin, active, accounts: accounts.map((account) => parseAccount(host, account)) }
}

function parseAccount(host: string, account: unknown): StoredAccount {
  if (!isObject(account)) throw new DamagedFileError(`an account of ${host} is no object`)
  const { name, did, secret, keyring } = account
  const isWhole = typeof name === 'string' && (typeof secret === 'string' || typeof keyring === 'string')
  if (!isWhole) throw new DamagedFileError(`an account of ${host} lacks its name or its secret`)
  return {
    name,
    ...(typeof did === 'string' ? { did } : {}),
    ...(typeof secret === 'string' ? { secret } : {}),
    ...(typeof keyring === 'string' ? { keyring } : {}),
  }
}

/** @throws {DamagedFileError} */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // V8 quotes the text, and in the text are secrets.
    throw new DamagedFileError('it is not JSON', { cause: error })
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
