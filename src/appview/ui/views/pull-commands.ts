import type { Digest } from '../../../protocol/oci/digest.ts'
import type { ArtifactKind } from './manifest.ts'

/** How clients reach this registry. */
export interface RegistryAddress {
  /** What an image name begins with: host, and port if there is one. */
  host: string
  /** Plain HTTP, as on a developer's machine: some clients want to be told. */
  isPlainHttp: boolean
}

export function registryAddress(baseUrl: string): RegistryAddress {
  const { host, protocol } = new URL(baseUrl)
  return { host, isPlainHttp: protocol === 'http:' }
}

/** A command to paste, and whose it is. */
export interface PullCommand {
  client: string
  command: string
}

/** The commands that fetch one thing from a repository, the most usual client first. */
export function pullCommands(
  registry: RegistryAddress,
  repository: string,
  target: { kind: ArtifactKind; reference: { tag: string } | { digest: Digest } },
): PullCommand[] {
  const { reference, kind } = target
  const base = `${registry.host}/${repository}`
  const image = 'tag' in reference ? `${base}:${reference.tag}` : `${base}@${reference.digest}`
  const plain = (flag: string) => (registry.isPlainHttp ? `${flag} ` : '')
  const name = repository.split('/').at(-1) as string
  const version = 'tag' in reference ? reference.tag : 'digest'
  const skopeo = {
    client: 'skopeo',
    command: `skopeo copy ${plain('--src-tls-verify=false')}docker://${image} oci:${name}:${version}`,
  }
  const oras = { client: 'oras', command: `oras pull ${plain('--plain-http')}${image}` }
  switch (kind) {
    case 'image':
      return [
        { client: 'docker', command: `docker pull ${image}` },
        { client: 'podman', command: `podman pull ${plain('--tls-verify=false')}${image}` },
        skopeo,
      ]
    case 'helm': {
      // Helm names a chart's version apart, and knows a plus sign that tags do not.
      const chart = 'tag' in reference ? `${base} --version ${reference.tag.replaceAll('_', '+')}` : image
      return [{ client: 'helm', command: `helm pull ${plain('--plain-http')}oci://${chart}` }, oras]
    }
    case 'artifact':
      return [oras, skopeo]
  }
}
