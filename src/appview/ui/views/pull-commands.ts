import type { Digest } from '../../../protocol/oci/digest.ts'
import type { ArtifactKind } from './manifest.ts'

/** How clients reach this registry. */
export interface RegistryAddress {
  /** What an image name begins with: host, and port if there is one. */
  host: string
  /** Plain HTTP, as on a developer's machine: some clients want to be told. */
  isPlainHttp: boolean
}

/** Where this registry is, and what its images are called after, if that is another name. */
export interface RegistryPlace {
  baseUrl: string
  imageHost?: string | undefined
}

export function registryAddress({ baseUrl, imageHost }: RegistryPlace): RegistryAddress {
  const { host, protocol } = new URL(baseUrl)
  return { host: imageHost ?? host, isPlainHttp: protocol === 'http:' }
}

/** How one client gets a thing. */
export interface PullGuide {
  client: string
  /** In the order they are run; `label` says what is copied. */
  steps: { label: string; text: string }[]
  note?: string
}

/** What is to be pulled. */
export interface PullTarget {
  kind: ArtifactKind
  reference: { tag: string } | { digest: Digest }
  /** Only for people who may read in its hold: clients have to sign in. */
  isPrivate: boolean
  isSigned: boolean
  /** Whose name a client signs in with. */
  user: string
}

interface Facts extends RegistryAddress {
  /** `<host>/<owner>/<name>` */
  base: string
  image: string
  /** The last component of the name. */
  name: string
  version: string
  user: string
  isPrivate: boolean
  /** A flag for plain HTTP, with the space behind it, where it is wanted. */
  plain: (flag: string) => string
}

type Guide = (facts: Facts) => PullGuide

const guidesOf: Record<ArtifactKind, readonly Guide[]> = {
  image: [docker, podman, containerd, kubernetes, gitHubActions, skopeo],
  helm: [helm, oras],
  artifact: [oras, skopeo],
}

/** The ways to get one thing from a repository, the most usual first. `repository`: `<owner>/<name>`, as in image names. */
export function pullGuides(registry: RegistryAddress, repository: string, target: PullTarget): PullGuide[] {
  const { isPrivate, isSigned, kind, reference, user } = target
  const base = `${registry.host}/${repository}`
  const facts: Facts = {
    ...registry,
    base,
    image: 'tag' in reference ? `${base}:${reference.tag}` : `${base}@${reference.digest}`,
    name: repository.split('/').at(-1) as string,
    version: 'tag' in reference ? reference.tag : 'digest',
    user,
    isPrivate,
    plain: (flag) => (registry.isPlainHttp ? `${flag} ` : ''),
  }
  const guides = isSigned ? [...guidesOf[kind], cosign] : guidesOf[kind]
  return guides.map((guide) => guide(facts))
}

const login = ({ isPrivate }: Facts, text: string) => (isPrivate ? [{ label: 'Copy the login command', text }] : []) // prettier-ignore

function docker(facts: Facts): PullGuide {
  const { host, image, isPlainHttp, user } = facts
  const hostname = host.replace(/:\d+$/, '')
  // Docker takes loopback addresses for insecure by itself.
  const isForeign = isPlainHttp && !/^(?:localhost|127\.[\d.]+)$/.test(hostname)
  return {
    client: 'docker',
    steps: [
      ...login(facts, `docker login ${host} -u ${user}`),
      { label: 'Copy the docker command', text: `docker pull ${image}` },
    ],
    ...(isForeign && { note: `This registry speaks plain HTTP: list ${host} under insecure-registries in Docker’s settings first.` }), // prettier-ignore
  }
}

function podman(facts: Facts): PullGuide {
  const { host, image, plain, user } = facts
  return {
    client: 'podman',
    steps: [
      ...login(facts, `podman login ${plain('--tls-verify=false')}${host} -u ${user}`),
      { label: 'Copy the podman command', text: `podman pull ${plain('--tls-verify=false')}${image}` },
    ],
  }
}

function containerd(facts: Facts): PullGuide {
  const { host, image, isPrivate, plain, user } = facts
  return {
    client: 'containerd',
    steps: [
      ...login(facts, `nerdctl ${plain('--insecure-registry')}login ${host} -u ${user}`),
      { label: 'Copy the nerdctl command', text: `nerdctl ${plain('--insecure-registry')}pull ${image}` },
      {
        label: 'Copy the ctr command',
        text: `ctr images pull ${plain('--plain-http')}${isPrivate ? `--user ${user} ` : ''}${image}`,
      },
    ],
    note: 'One of the two: nerdctl is the friendlier one, ctr comes with containerd.',
  }
}

function kubernetes({ host, image, isPlainHttp, isPrivate, name, user }: Facts): PullGuide {
  const manifest = [
    'apiVersion: v1',
    'kind: Pod',
    'metadata:',
    `  name: ${JSON.stringify(dnsLabel(name))}`,
    'spec:',
    ...(isPrivate ? ['  imagePullSecrets:', '    - name: atcr'] : []),
    '  containers:',
    '    - name: main',
    `      image: ${image}`,
  ]
  return {
    client: 'Kubernetes',
    steps: [
      ...(isPrivate ? [{ label: 'Copy the command that makes the pull secret', text: `kubectl create secret docker-registry atcr --docker-server=${host} --docker-username=${user} --docker-password="$ATCR_APP_PASSWORD"` }] : []), // prettier-ignore
      { label: 'Copy the pod', text: manifest.join('\n') },
    ],
    ...(isPlainHttp && { note: 'This registry speaks plain HTTP: the container runtime of each node has to be told.' }), // prettier-ignore
  }
}

/** What Kubernetes allows as a name (RFC 1123). */
function dnsLabel(name: string): string {
  const label = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 53)
  return label.replace(/-+$/, '') || 'app'
}

function gitHubActions({ host, image, isPrivate, user }: Facts): PullGuide {
  const signIn = [
    '- uses: docker/login-action@v3',
    '  with:',
    `    registry: ${host}`,
    `    username: ${user}`,
    '    password: ${{ secrets.ATCR_APP_PASSWORD }}',
  ]
  const lines = [...(isPrivate ? signIn : []), `- run: docker pull ${image}`]
  return {
    client: 'GitHub Actions',
    steps: [{ label: 'Copy the steps for GitHub Actions', text: lines.join('\n') }],
  }
}

function skopeo(facts: Facts): PullGuide {
  const { host, image, name, plain, user, version } = facts
  return {
    client: 'skopeo',
    steps: [
      ...login(facts, `skopeo login ${plain('--tls-verify=false')}${host} -u ${user}`),
      {
        label: 'Copy the skopeo command',
        text: `skopeo copy ${plain('--src-tls-verify=false')}docker://${image} oci:${name}:${version}`,
      },
    ],
  }
}

function helm(facts: Facts): PullGuide {
  const { base, host, image, name, plain, user, version } = facts
  // Helm names a chart's version apart, and knows a plus sign that tags do not.
  const chart = image.includes('@') ? image : `${base} --version ${version.replaceAll('_', '+')}`
  const flag = plain('--plain-http')
  return {
    client: 'helm',
    steps: [
      ...login(facts, `helm registry login ${flag}${host} -u ${user}`),
      { label: 'Copy the helm command', text: `helm pull ${flag}oci://${chart}` },
      {
        label: 'Copy the helm install command',
        text: `helm install ${dnsLabel(name)} ${flag}oci://${chart}`,
      },
    ],
  }
}

function oras(facts: Facts): PullGuide {
  const { host, image, plain, user } = facts
  return {
    client: 'oras',
    steps: [
      ...login(facts, `oras login ${plain('--plain-http')}${host} -u ${user}`),
      { label: 'Copy the oras command', text: `oras pull ${plain('--plain-http')}${image}` },
    ],
  }
}

function cosign({ image, isPlainHttp }: Facts): PullGuide {
  const flag = isPlainHttp ? '--allow-http-registry ' : ''
  return {
    client: 'cosign',
    steps: [{ label: 'Copy the cosign command', text: `cosign verify ${flag}--key cosign.pub ${image}` }],
    note: 'cosign.pub is the key of whoever signed it. Signatures without a key want --certificate-identity and --certificate-oidc-issuer instead.',
  }
}

/** A command to paste, and whose it is. */
export interface PullCommand {
  client: string
  command: string
}

/** The one line that fetches a public thing, for the clients that need no more than one. */
export function pullCommands(
  registry: RegistryAddress,
  repository: string,
  target: Pick<PullTarget, 'kind' | 'reference'>,
): PullCommand[] {
  return pullGuides(registry, repository, { ...target, isPrivate: false, isSigned: false, user: '' })
    .filter(({ client }) => oneLiners.has(client))
    .map(({ client, steps: [first] }) => ({ client, command: first?.text ?? '' }))
}

const oneLiners: ReadonlySet<string> = new Set(['docker', 'podman', 'skopeo', 'helm', 'oras'])
