import { CommandError } from '../command-error.ts'
import { dockerConfigPath, findConfiguredHosts } from '../docker-config.ts'
import { parseRegistry, type Registry } from '../server-url.ts'
import type { Surroundings } from '../surroundings.ts'

type Needs = Pick<Surroundings, 'file' | 'environment' | 'home'>

/**
 * The registry a person named, else the only one signed in to, else the only one that docker asks this program for.
 * @throws {CommandError} when that is none, or several
 */
export function whichRegistry(named: string | undefined, verb: string, needs: Needs): Registry {
  if (named !== undefined) {
    const registry = parseRegistry(named)
    if (registry === undefined) throw new CommandError(`${JSON.stringify(named.slice(0, 200))} is no registry: one is registry.example`) // prettier-ignore
    const stored = needs.file.read().get(registry.host)
    // How it was spoken to before, unless it is told anew.
    return stored === undefined || named.includes('://')
      ? registry
      : { host: stored.host, origin: stored.origin }
  }
  const stored = [...needs.file.read().values()]
  const configured = stored.length > 0 ? [] : configuredRegistries(needs)
  const known = stored.length > 0 ? stored : configured
  const [only] = known
  if (only !== undefined && known.length === 1) return { host: only.host, origin: only.origin }
  const which = known.length === 0 ? '' : ` (${known.map(({ host }) => host).join(', ')})`
  throw new CommandError(`which registry?${which} docker-credential-atcr ${verb} registry.example`)
}

function configuredRegistries({ environment, home }: Needs): Registry[] {
  return findConfiguredHosts(dockerConfigPath(environment, home)).flatMap((host) => parseRegistry(host) ?? [])
}
