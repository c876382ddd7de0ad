import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { mustRun } from '../command.ts'
import type { Client, ClientOptions, ClientSource, Pulled } from './client.ts'
import { findMissingPackage } from './debian-program.ts'

/** Podman and Buildah share their commands for images, and their storage. */
export const podman = sourceOf('podman', 'crun')
export const buildah = sourceOf('buildah')

function sourceOf(name: 'podman' | 'buildah', ...packages: string[]): ClientSource {
  return {
    name,
    lacks: { artifact: 'no command for artifacts in this version' },
    findObstacle: () => findMissingPackage(name, ...packages),
    start: (options) => start(name, options),
  }
}

async function start(program: 'podman' | 'buildah', { registry, folder }: ClientOptions): Promise<Client> {
  const authFile = join(folder, 'auth.json')
  const storage = [
    '--root',
    join(folder, 'root'),
    '--runroot',
    join(folder, 'run'),
    '--storage-driver',
    'vfs',
  ]
  const call = (...args: string[]) =>
    mustRun(program, [...storage, ...args], { REGISTRY_AUTH_FILE: authFile, TMPDIR: folder })
  const remote = (reference: string) => `${registry}/${reference}`
  const insecure = '--tls-verify=false'

  async function pull(reference: string): Promise<Pulled> {
    const id = (await call('pull', '-q', insecure, remote(reference))).trim()
    const digests = await call('images', '--no-trunc', '--format', '{{.Digest}}', remote(reference))
    return { digest: digests.trim(), blobDigest: `sha256:${id}` }
  }
  // The file must be there.
  const forget = () => writeFile(authFile, '{}')
  await forget()
  return {
    version: /\d[\d.]+/.exec(await call('--version'))?.[0] ?? '',
    async login({ username, password }) {
      await call('login', insecure, '-u', username, '-p', password, registry)
    },
    async logout() {
      await forget()
    },
    async push(image, reference) {
      const id = (await call('pull', '-q', `oci:${image.layoutPath}:${image.tag}`)).trim()
      await call('push', '-q', insecure, id, `docker://${remote(reference)}`)
    },
    pull,
    async copy(from, to) {
      await call('pull', '-q', insecure, remote(from))
      await call('push', '-q', insecure, remote(from), `docker://${remote(to)}`)
    },
    async pushIndex(index, reference) {
      const list = `localhost/list-${index.descriptor.digest.slice(-12)}`
      await call('manifest', 'create', list)
      await call('manifest', 'add', '--all', list, `oci:${index.layoutPath}:${index.tag}`)
      await call('manifest', 'push', '--all', insecure, list, `docker://${remote(reference)}`)
    },
    pullIndex: pull,
    async [Symbol.asyncDispose]() {},
  }
}
