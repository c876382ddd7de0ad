import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { CommandError } from '../command-error.ts'
import { isObject } from '../credential-format.ts'
import { configureDocker, dockerConfigPath } from '../docker-config.ts'
import type { Surroundings } from '../surroundings.ts'
import type { Words } from '../verbs.ts'
import { whichRegistry } from './which-registry.ts'

/** Makes docker ask this program for a registry, and says what other clients need. */
export async function configureClients({ operand }: Words, surroundings: Surroundings): Promise<number> {
  const { environment, home } = surroundings
  const { host } = whichRegistry(operand, 'configure-docker', surroundings)
  const path = dockerConfigPath(environment, home)
  const { isChanged, helper } = configureDocker(path, host)
  if (helper !== undefined) {
    throw new CommandError(`docker asks docker-credential-${helper} for ${host}: take that out of credHelpers in ${path} first`) // prettier-ignore
  }
  process.stdout.write(`docker ${isChanged ? 'asks this program for' : 'asked this program already for'} ${host} (${path}).\n`) // prettier-ignore
  process.stdout.write(podmanAdvice(host, path, surroundings))
  return 0
}

/** Where podman, buildah and skopeo look before they read docker's settings (containers-auth.json(5)). */
function podmanAdvice(
  host: string,
  dockerPath: string,
  { environment, home, platform }: Surroundings,
): string {
  const explicit = environment['REGISTRY_AUTH_FILE']
  const runtime = environment['XDG_RUNTIME_DIR']
  const config = environment['XDG_CONFIG_HOME'] ?? join(home, '.config')
  const first = platform === 'linux' && runtime !== undefined ? runtime : config
  const places = explicit === undefined ? [join(first, 'containers/auth.json'), join(config, 'containers/auth.json')] : [explicit] // prettier-ignore
  const before = [...new Set(places)].filter((path) => names(path, host))
  const entry = `{"credHelpers": {"${host}": "atcr"}}`
  if (explicit !== undefined)
    return `podman, buildah and skopeo read only ${explicit} here (REGISTRY_AUTH_FILE), which needs ${entry}\n`
  if (before.length === 0) return `podman, buildah and skopeo read that too, and so does nerdctl.\n`
  return `podman, buildah and skopeo read that too, but ${before.join(' and ')} come${before.length === 1 ? 's' : ''} first and name${before.length === 1 ? 's' : ''} ${host}: podman logout ${host}, or put ${entry} there\n` // prettier-ignore
}

function names(path: string, host: string): boolean {
  if (!existsSync(path)) return false
  try {
    const file: unknown = JSON.parse(readFileSync(path, 'utf8'))
    const auths = isObject(file) ? file['auths'] : undefined
    return isObject(auths) && Object.keys(auths).some((name) => name === host || name.startsWith(`${host}/`))
  } catch {
    return false
  }
}
