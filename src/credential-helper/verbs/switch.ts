import { CommandError } from '../command-error.ts'
import { credentialWriter } from '../credential-writer.ts'
import { activeAccount, findAccount, type StoredAccount, type StoredRegistry } from '../credentials.ts'
import type { Surroundings } from '../surroundings.ts'
import type { Words } from '../verbs.ts'
import { whichRegistry } from './which-registry.ts'

/** Makes another account the active one. */
export async function switchAccount(
  { options, operand }: Words,
  surroundings: Surroundings,
): Promise<number> {
  const { file } = surroundings
  const named = typeof options['registry'] === 'string' ? options['registry'] : undefined
  const { host } = whichRegistry(
    named ?? registryOf(operand, surroundings),
    'switch --registry',
    surroundings,
  )
  const registry = file.read().get(host)
  if (registry === undefined) throw new CommandError(`not signed in to ${host}`)
  const { name } = nextAccount(registry, operand)
  file.change((credentials) => {
    const present = credentials.get(host)
    return present === undefined
      ? credentials
      : new Map([...credentials, [host, { ...present, active: name }]])
  }, credentialWriter)
  process.stdout.write(`${name} is active at ${host}.\n`)
  return 0
}

/** A handle that is known at one registry only says which one is meant. */
function registryOf(handle: string | undefined, { file }: Surroundings): string | undefined {
  if (handle === undefined) return undefined
  const known = [...file.read().values()].filter((registry) => findAccount(registry, handle) !== undefined)
  return known.length === 1 ? known[0]?.host : undefined
}

function nextAccount(registry: StoredRegistry, handle: string | undefined): StoredAccount {
  const { host, accounts } = registry
  const names = accounts.map(({ name }) => name).join(', ')
  if (handle !== undefined) {
    const account = findAccount(registry, handle)
    if (account === undefined)
      throw new CommandError(`${handle} is not signed in to ${host}; there is ${names}`)
    return account
  }
  const [other, ...rest] = accounts.filter((account) => account !== activeAccount(registry))
  if (other === undefined)
    throw new CommandError(`${names} is the only account at ${host}; login adds another`)
  if (rest.length > 0) throw new CommandError(`which one? ${names}: docker-credential-atcr switch <handle>`)
  return other
}
