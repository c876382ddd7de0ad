import { writeFile, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { randomId } from '../../../src/lib/ids.ts'
import { mustRun } from '../command.ts'
import { repositoryOf, writeNote } from './artifact.ts'
import type { Client, ClientOptions, ClientSource, LocalImage, Pulled } from './client.ts'
import { buildGoProgram, findGoObstacle, type GoProgram } from './go-program.ts'

export const crane = sourceOf(
  { name: 'crane', package: 'github.com/google/go-containerregistry/cmd/crane', version: 'v0.22.1' },
  startCrane,
)
export const regctl = sourceOf(
  { name: 'regctl', package: 'github.com/regclient/regclient/cmd/regctl', version: 'v0.11.7' },
  startRegctl,
)
export const oras = sourceOf(
  { name: 'oras', package: 'oras.land/oras/cmd/oras', version: 'v1.3.6' },
  startOras,
  { isStayingAtRegistry: true },
)

type StartProgram = (program: string, version: string, options: ClientOptions) => Promise<Client>

export function sourceOf(
  program: GoProgram,
  startProgram: StartProgram,
  traits: Pick<ClientSource, 'lacks' | 'isStayingAtRegistry'> = {},
): ClientSource {
  return {
    name: program.name,
    ...traits,
    findObstacle: () => findGoObstacle(program),
    prepare: () => void buildGoProgram(program),
    start: async (options) => startProgram(await buildGoProgram(program), program.version, options),
  }
}

async function startCrane(program: string, version: string, options: ClientOptions): Promise<Client> {
  const { registry, folder } = options
  const crane = (...args: string[]) => mustRun(program, args, { DOCKER_CONFIG: folder })
  const remote = (reference: string) => `${registry}/${reference}`

  async function push(image: LocalImage, reference: string): Promise<void> {
    await crane('push', image.layoutPath, remote(reference))
  }
  async function pull(reference: string): Promise<Pulled> {
    const layoutPath = join(folder, `pulled-${randomId(6)}`)
    await crane('pull', '--format', 'oci', remote(reference), layoutPath)
    return { digest: (await crane('digest', remote(reference))).trim(), layoutPath }
  }
  return {
    version,
    async login({ username, password }) {
      await crane('auth', 'login', '-u', username, '-p', password, registry)
    },
    logout: () => rm(join(folder, 'config.json'), { force: true }),
    push,
    pull,
    async copy(from, to) {
      await crane('copy', remote(from), remote(to))
    },
    async pushIndex(index, reference) {
      await crane('push', '--index', index.layoutPath, remote(reference))
    },
    pullIndex: pull,
    async attach(image, reference, artifactType) {
      const artifact = await writeNote(join(folder, `artifact-${randomId(6)}`), image, artifactType)
      const { digest } = artifact.descriptor
      await push(artifact, `${repositoryOf(reference)}@${digest}`)
      return digest
    },
    async [Symbol.asyncDispose]() {},
  }
}

async function startRegctl(program: string, version: string, options: ClientOptions): Promise<Client> {
  const { registry, folder } = options
  const configuration = join(folder, 'config.json')
  const regctl = (...args: string[]) =>
    mustRun(program, args, { REGCTL_CONFIG: configuration, DOCKER_CONFIG: folder })
  const remote = (reference: string) => `${registry}/${reference}`
  const usePlainHttp = () => regctl('registry', 'set', '--skip-check', '--tls', 'disabled', registry)

  async function push(image: LocalImage, reference: string): Promise<void> {
    await regctl('image', 'copy', `ocidir://${image.layoutPath}:${image.tag}`, remote(reference))
  }
  async function pull(reference: string): Promise<Pulled> {
    const layoutPath = join(folder, `pulled-${randomId(6)}`)
    await regctl('image', 'copy', remote(reference), `ocidir://${layoutPath}:pulled`)
    return { digest: (await regctl('image', 'digest', remote(reference))).trim(), layoutPath }
  }
  await usePlainHttp()
  return {
    version,
    async login({ username, password }) {
      await regctl('registry', 'login', '-u', username, '-p', password, registry)
    },
    async logout() {
      await rm(configuration, { force: true })
      await usePlainHttp()
    },
    push,
    pull,
    async copy(from, to) {
      await regctl('image', 'copy', remote(from), remote(to))
    },
    pushIndex: push,
    pullIndex: pull,
    async attach(image, reference, artifactType) {
      const file = join(folder, 'note.txt')
      await writeFile(file, `about ${image.descriptor.digest}\n`)
      const what = ['--artifact-type', artifactType, '--subject', remote(reference), '--file', file]
      return (
        await regctl('artifact', 'put', ...what, '--format', '{{.Manifest.GetDescriptor.Digest}}')
      ).trim()
    },
    async findReferrers(reference) {
      const list = await regctl('artifact', 'list', '--format', '{{json .}}', remote(reference))
      const { descriptors } = JSON.parse(list) as { descriptors: { digest: string }[] }
      return descriptors.map(({ digest }) => digest)
    },
    async [Symbol.asyncDispose]() {},
  }
}

async function startOras(program: string, version: string, options: ClientOptions): Promise<Client> {
  const { registry, folder } = options
  // Paths of attached files are relative to where it runs.
  const oras = (...args: string[]) => mustRun(program, args, { DOCKER_CONFIG: folder })
  const remote = (reference: string) => `${registry}/${reference}`

  async function push(image: LocalImage, reference: string): Promise<void> {
    const source = `${image.layoutPath}:${image.tag}`
    await oras('cp', '--from-oci-layout', source, '--to-plain-http', remote(reference))
  }
  async function pull(reference: string): Promise<Pulled> {
    const layoutPath = join(folder, `pulled-${randomId(6)}`)
    await mkdir(layoutPath)
    const said = await oras(
      'cp',
      '--from-plain-http',
      remote(reference),
      '--to-oci-layout',
      `${layoutPath}:out`,
    )
    return { digest: /^Digest: (\S+)$/m.exec(said)?.[1] ?? '', layoutPath }
  }
  return {
    version,
    async login({ username, password }) {
      await oras('login', '--plain-http', '-u', username, '-p', password, registry)
    },
    logout: () => rm(join(folder, 'config.json'), { force: true }),
    push,
    pull,
    async copy(from, to) {
      await oras('cp', '--from-plain-http', remote(from), '--to-plain-http', remote(to))
    },
    pushIndex: push,
    pullIndex: pull,
    async attach(image, reference, artifactType) {
      const file = join(folder, 'note.txt')
      await writeFile(file, `about ${image.descriptor.digest}\n`)
      const how = ['--plain-http', '--disable-path-validation', '--artifact-type', artifactType]
      const said = await oras('attach', ...how, remote(reference), `${file}:text/plain`)
      return /^Digest: (\S+)$/m.exec(said)?.[1] ?? ''
    },
    async findReferrers(reference) {
      const found = await oras('discover', '--plain-http', '--format', 'json', remote(reference))
      const { referrers } = JSON.parse(found) as { referrers: { digest: string }[] }
      return referrers.map(({ digest }) => digest)
    },
    async [Symbol.asyncDispose]() {},
  }
}
