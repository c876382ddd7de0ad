/** One account at a registry. Its secret is here or, with `keyring`, in the keyring of that name. */
export interface StoredAccount {
  /** Handle, or whatever was given to `docker login`; what clients send as user. */
  name: string
  did?: string
  secret?: string
  keyring?: string
}

export interface StoredRegistry {
  host: string
  origin: string
  /** Name of the account that is used unless the image says otherwise. */
  active: string
  accounts: readonly StoredAccount[]
}

/** Everything stored; by host. */
export type Credentials = ReadonlyMap<string, StoredRegistry>

/** Handles are the same in any case (ATProto handle specification), and so are names here. */
export function findAccount(registry: StoredRegistry, name: string): StoredAccount | undefined {
  return registry.accounts.find((account) => account.name.toLowerCase() === name.toLowerCase())
}

/** The account that is used unless the image says otherwise. */
export function activeAccount(registry: StoredRegistry): StoredAccount | undefined {
  return findAccount(registry, registry.active) ?? registry.accounts[0]
}

/** With an account added, or replaced; it is the active one from now on. */
export function withAccount(
  credentials: Credentials,
  { host, origin }: Pick<StoredRegistry, 'host' | 'origin'>,
  account: StoredAccount,
): Credentials {
  const others = (credentials.get(host)?.accounts ?? []).filter(
    ({ name }) => name.toLowerCase() !== account.name.toLowerCase(),
  )
  const registry = { host, origin, active: account.name, accounts: [...others, account] }
  return new Map([...credentials, [host, registry]])
}

/** Without an account; the first of those left becomes active where it was. The last one takes the registry along. */
export function withoutAccount(credentials: Credentials, host: string, name: string): Credentials {
  const registry = credentials.get(host)
  if (registry === undefined) return credentials
  const accounts = registry.accounts.filter((account) => account.name !== name)
  const [first] = accounts
  const left = new Map(credentials)
  if (first === undefined) left.delete(host)
  else
    left.set(host, { ...registry, accounts, active: registry.active === name ? first.name : registry.active })
  return left
}
