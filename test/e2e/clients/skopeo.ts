import { rm } from 'node:fs/promises'
import { join } from 'node:path'

import { randomId, sha256Hex } from '../../../src/lib/ids.ts'
import { mustRun } from '../command.ts'
import { repositoryOf, writeNote } from './artifact.ts'
import type { Client, ClientOptions, ClientSource, LocalImage, Pulled } from './client.ts'
import { findMissingPackage } from './debian-program.ts'

export const skopeo: ClientSource = {
  name: 'skopeo',
  isCopyingWithoutMount: true,
  findObstacle: () => findMissingPackage('skopeo'),
  start: startSkopeo,
}

async function startSkopeo({ registry, folder }: ClientOptions): Promise<Client> {
  const authFile = join(folder, 'auth.json')
  const skopeo = (...args: string[]) => mustRun('skopeo', args, { REGISTRY_AUTH_FILE: authFile })
  const remote = (reference: string) => `docker://${registry}/${reference}`
  const copy = (...args: string[]) =>
    skopeo('copy', '--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false', ...args)

  async function push(image: LocalImage, reference: string, ...extra: string[]): Promise<void> {
    await copy(...extra, `oci:${image.layoutPath}:${image.tag}`, remote(reference))
  }
  async function pull(reference: string, ...extra: string[]): Promise<Pulled> {
    const layoutPath = join(folder, `pulled-${randomId(6)}`)
    await copy(...extra, remote(reference), `oci:${layoutPath}:pulled`)
    const raw = await skopeo('inspect', '--raw', `oci:${layoutPath}:pulled`)
    return { digest: `sha256:${sha256Hex(raw)}`, layoutPath }
  }
  return {
    version: (await skopeo('--version')).trim().split(' ').at(-1) ?? '',
    async login({ username, password }) {
      await skopeo('login', '--tls-verify=false', '-u', username, '-p', password, registry)
    },
    async logout() {
      await rm(authFile, { force: true })
    },
    push,
    pull,
    async copy(from, to) {
      await copy(remote(from), remote(to))
    },
    pushIndex: (index, reference) => push(index, reference, '--all'),
    pullIndex: (reference) => pull(reference, '--all'),
    async attach(image, reference, artifactType) {
      const artifact = await writeNote(join(folder, `artifact-${randomId(6)}`), image, artifactType)
      const { digest } = artifact.descriptor
      await push(artifact, `${repositoryOf(reference)}@${digest}`)
      return digest
    },
    async [Symbol.asyncDispose]() {},
  }
}
