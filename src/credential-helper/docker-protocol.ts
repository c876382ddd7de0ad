import { activeAccount, findAccount, type StoredAccount, type StoredRegistry } from './credentials.ts'
import { guessOwner } from './image-owner.ts'
import { parseRegistry } from './server-url.ts'
import type { Surroundings } from './surroundings.ts'

/**
 * A failure in the words clients know (docker-credential-helpers, credentials/error.go): they compare the whole message, and
 * take the first to mean "go on without".
 */
export class DockerError extends Error {
  override name = 'DockerError'
}

export const credentialsNotFound = 'credentials not found in native keychain'
export const noServerUrl = 'no credentials server URL'
export const noUsername = 'no credentials username'

/** Docker's limit on one line of input is the same (bufio.Scanner). */
export const inputBytesMax = 64 * 1024

/**
 * `get`: the server URL of the input → `{"ServerURL", "Username", "Secret"}`. Asks no network and no person, and returns at
 * once: clients call it several times for every push and pull.
 * @throws {DockerError}
 */
export function getCredentials(input: string, surroundings: Surroundings): string {
  const serverUrl = readServerUrl(input)
  const registry = findRegistry(serverUrl, surroundings)
  const account = registry && chooseAccount(registry, surroundings)
  if (registry === undefined || account === undefined) throw new DockerError(credentialsNotFound)
  const secret = surroundings.secrets.get(registry.host, account)
  return JSON.stringify({ ServerURL: serverUrl, Username: account.name, Secret: secret })
}

/** `list`: every registry and the name of its active account. */
export function listCredentials({ file }: Pick<Surroundings, 'file'>): string {
  const names = [...file.read().values()].map((registry) => [
    registry.host,
    activeAccount(registry)?.name ?? '',
  ])
  return JSON.stringify(Object.fromEntries(names))
}

/** The input of `get` and `erase`. @throws {DockerError} when it is empty */
export function readServerUrl(input: string): string {
  const serverUrl = input.replaceAll(/\r?\n/g, '').trim()
  if (serverUrl === '') throw new DockerError(noServerUrl)
  return serverUrl
}

function findRegistry(serverUrl: string, { file }: Surroundings): StoredRegistry | undefined {
  const host = parseRegistry(serverUrl)?.host
  return host === undefined ? undefined : file.read().get(host)
}

/** The account that `ATCR_ACCOUNT` names, else the one whose image it is, else the active one. */
function chooseAccount(
  registry: StoredRegistry,
  { environment, processes }: Surroundings,
): StoredAccount | undefined {
  if (registry.accounts.length === 1) return registry.accounts[0]
  const isKnown = (name: string) => findAccount(registry, name) !== undefined
  const wanted = environment['ATCR_ACCOUNT'] ?? ''
  const name = isKnown(wanted) ? wanted : guessOwner(registry.host, isKnown, processes)
  return name === undefined ? activeAccount(registry) : findAccount(registry, name)
}
