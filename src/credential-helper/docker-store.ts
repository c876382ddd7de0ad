import { credentialWriter } from './credential-writer.ts'
import { withAccount, type StoredRegistry } from './credentials.ts'
import { DockerError, noServerUrl, noUsername, readServerUrl } from './docker-protocol.ts'
import { parseRegistry, type Registry } from './server-url.ts'
import type { Surroundings } from './surroundings.ts'

type Needs = Pick<Surroundings, 'file' | 'secrets'>

/** `store`: what `docker login` was given becomes the active account of that registry. @throws {DockerError} */
export function storeCredentials(input: string, needs: Needs): void {
  const { registry, username, secret } = parseStoreInput(input)
  storeAccount(registry, { name: username }, secret, needs)
}

/** Keeps an account, and makes it the active one of its registry. */
export function storeAccount(
  registry: Registry,
  account: { name: string; did?: string },
  secret: string,
  { file, secrets }: Needs,
): void {
  const kept = secrets.keep(registry.host, account, secret)
  file.change((credentials) => withAccount(credentials, registry, kept), credentialWriter)
}

/** `erase`: no account of that registry is left, which is what logging out means. One that was never there is gone too. */
export function eraseCredentials(input: string, needs: Needs): void {
  const host = parseRegistry(readServerUrl(input))?.host
  const registry = host === undefined ? undefined : needs.file.read().get(host)
  if (registry !== undefined) forgetRegistry(registry, needs)
}

function forgetRegistry({ host, accounts }: StoredRegistry, { file, secrets }: Needs): void {
  for (const account of accounts) secrets.forget(host, account)
  file.change((credentials) => {
    const left = new Map(credentials)
    left.delete(host)
    return left
  }, credentialWriter)
}

function parseStoreInput(input: string): { registry: Registry; username: string; secret: string } {
  const { ServerURL: serverUrl = '', Username: username = '', Secret: secret = '' } = parseInput(input)
  if (serverUrl === '') throw new DockerError(noServerUrl)
  if (username === '') throw new DockerError(noUsername)
  const registry = parseRegistry(serverUrl)
  if (registry === undefined)
    throw new DockerError(`${JSON.stringify(serverUrl.slice(0, 200))} is no registry`)
  if (secret === '') throw new DockerError('no credentials secret')
  return { registry, username, secret }
}

function parseInput(input: string): { ServerURL?: string; Username?: string; Secret?: string } {
  let value: unknown
  try {
    value = JSON.parse(input)
  } catch (error) {
    // V8 quotes the text, and in the text are secrets.
    throw new DockerError('the credentials to store are not JSON', { cause: error })
  }
  const fields = Object.entries(value ?? {}).filter(([, it]) => typeof it === 'string')
  return Object.fromEntries(fields)
}
