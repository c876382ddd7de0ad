import { activeAccount, type StoredAccount, type StoredRegistry } from '../credentials.ts'
import { dockerConfigPath, DockerConfigError, findConfiguredHosts } from '../docker-config.ts'
import { KeyringError } from '../keyring.ts'
import { networkFetch } from '../network.ts'
import { RegistryClient, RegistryError, type Fetch } from '../registry-client.ts'
import type { Surroundings } from '../surroundings.ts'
import type { Words } from '../verbs.ts'

/** Every account, where its secret is, and whether the registry takes it. */
export async function status({ options }: Words, surroundings: Surroundings): Promise<number> {
  const { file } = surroundings
  const registries = [...file.read().values()]
  if (registries.length === 0) {
    process.stdout.write(
      'Not signed in anywhere. Begin with: docker-credential-atcr login registry.example\n',
    )
    return 0
  }
  const fetch = options['offline'] === true ? undefined : networkFetch()
  const hosts = configuredHosts(surroundings)
  let isGood = true
  for (const registry of registries) {
    process.stdout.write(`${registry.host}${hosts.includes(registry.host) ? '' : '  (docker does not ask this program: configure-docker)'}\n`) // prettier-ignore
    for (const account of registry.accounts) {
      const state = await stateOf(registry, account, surroundings, fetch)
      isGood &&= state.isGood
      const mark = account === activeAccount(registry) ? '*' : ' '
      const place = account.keyring === undefined ? file.path : `keyring ${account.keyring}`
      process.stdout.write(`  ${mark} ${nameOf(account)}  ${state.text}  (secret: ${place})\n`)
    }
  }
  return isGood ? 0 : 1
}

/** docker's own mark for a refresh token in place of a password. */
const nameOf = ({ name }: StoredAccount) => (name === '<token>' ? 'token of docker login' : name)

async function stateOf(
  registry: StoredRegistry,
  account: StoredAccount,
  { secrets }: Surroundings,
  fetch: Fetch | undefined,
): Promise<{ text: string; isGood: boolean }> {
  try {
    const secret = secrets.get(registry.host, account)
    if (fetch === undefined || account.name === '<token>') return { text: 'not asked', isGood: true }
    const isAccepted = await new RegistryClient(fetch, registry).isAccepted(account.name, secret)
    return isAccepted
      ? { text: 'accepted', isGood: true }
      : { text: `refused: docker-credential-atcr login ${registry.host}`, isGood: false }
  } catch (error) {
    if (error instanceof RegistryError || error instanceof KeyringError)
      return { text: error.message, isGood: false }
    throw error
  }
}

function configuredHosts({ environment, home, warn }: Surroundings): string[] {
  try {
    return findConfiguredHosts(dockerConfigPath(environment, home))
  } catch (error) {
    if (!(error instanceof DockerConfigError)) throw error
    warn(error.message)
    return []
  }
}
