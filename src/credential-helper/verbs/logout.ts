import { CommandError } from '../command-error.ts'
import { credentialWriter } from '../credential-writer.ts'
import { findAccount, withoutAccount, type StoredAccount, type StoredRegistry } from '../credentials.ts'
import type { Surroundings } from '../surroundings.ts'
import type { Words } from '../verbs.ts'
import { whichRegistry } from './which-registry.ts'

/** Forgets an account, or all of a registry. */
export async function logout({ options, operand }: Words, surroundings: Surroundings): Promise<number> {
  const { file, secrets } = surroundings
  const { host } = whichRegistry(operand, 'logout', surroundings)
  const registry = file.read().get(host)
  if (registry === undefined) throw new CommandError(`not signed in to ${host}`)
  for (const account of accountsToForget(registry, options)) {
    secrets.forget(host, account)
    file.change((credentials) => withoutAccount(credentials, host, account.name), credentialWriter)
    process.stdout.write(`${account.name} is forgotten here. To make its secret worthless, revoke this machine at ${registry.origin}/settings/devices\n`) // prettier-ignore
  }
  return 0
}

function accountsToForget(registry: StoredRegistry, options: Words['options']): readonly StoredAccount[] {
  const { host, accounts } = registry
  if (typeof options['handle'] === 'string') {
    const account = findAccount(registry, options['handle'])
    if (account === undefined) throw new CommandError(`${options['handle']} is not signed in to ${host}; there is ${namesOf(accounts)}`) // prettier-ignore
    return [account]
  }
  if (accounts.length > 1 && options['all'] !== true) {
    throw new CommandError(`which one? ${namesOf(accounts)}: say --handle <handle>, or --all`)
  }
  return accounts
}

const namesOf = (accounts: readonly StoredAccount[]) => accounts.map(({ name }) => name).join(', ')
