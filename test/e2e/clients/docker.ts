import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { randomId } from '../../../src/lib/ids.ts'
import { Daemon } from '../../network/daemon.ts'
import { mustRun, run } from '../command.ts'
import { readManifest } from '../oci-layout.ts'
import { repositoryOf } from './artifact.ts'
import type { Client, ClientOptions, ClientSource, LocalImage, Pulled } from './client.ts'
import { findMissingPackage } from './debian-program.ts'
import { loggedOut } from './logged-out.ts'

/** Docker Engine from Debian's docker.io. It loads its own archives only, so skopeo turns the layouts into them. */
export const docker: ClientSource = {
  name: 'Docker Engine',
  lacks: { artifact: 'images only' },
  findObstacle: () =>
    findMissingPackage('docker.io', 'skopeo') ??
    (process.getuid?.() === 0 ? undefined : 'dockerd needs root'),
  start,
}

async function start({ registry, folder }: ClientOptions): Promise<Client> {
  const environment = {
    DOCKER_HOST: `unix://${join(folder, 'docker.sock')}`,
    DOCKER_CONFIG: join(folder, 'config'),
  }
  await mkdir(environment.DOCKER_CONFIG)
  const logout = () => writeFile(join(environment.DOCKER_CONFIG, 'config.json'), loggedOut)
  await logout()
  // Debian's own, should there be another docker command on the way.
  const call = (...args: string[]) => mustRun('/usr/bin/docker', args, environment)
  const daemon = await startDockerd(folder, environment)
  const remote = (reference: string) => `${registry}/${reference}`

  async function load(image: LocalImage, name: string): Promise<void> {
    const archive = join(folder, `${randomId(6)}.tar`)
    const choice = image.descriptor.platform
    const arch = choice === undefined ? [] : ['--override-arch', choice.architecture]
    await mustRun('skopeo', [...arch, 'copy', '-q', `oci:${image.layoutPath}:${image.tag}`, `docker-archive:${archive}:${name}`]) // prettier-ignore
    await call('load', '-q', '-i', archive)
  }
  async function push(image: LocalImage, reference: string): Promise<void> {
    await load(image, remote(reference))
    await call('push', '-q', remote(reference))
  }
  async function pull(reference: string): Promise<Pulled> {
    await call('pull', '-q', remote(reference))
    const [digest = '', id = ''] = (
      await call('image', 'inspect', '-f', '{{index .RepoDigests 0}} {{.Id}}', remote(reference))
    )
      .trim()
      .split(' ')
    return { digest: digest.split('@')[1] ?? '', blobDigest: id }
  }
  return {
    version: (await call('version', '--format', '{{.Server.Version}}')).trim(),
    async login({ username, password }) {
      await call('login', '-u', username, '-p', password, registry)
    },
    logout,
    push,
    pull,
    async copy(from, to) {
      await call('pull', '-q', remote(from))
      await call('tag', remote(from), remote(to))
      await call('push', '-q', remote(to))
    },
    async pushIndex(index, reference) {
      const { manifests = [] } = await readManifest(index.layoutPath, index.descriptor.digest)
      const parts: string[] = []
      for (const descriptor of manifests) {
        const part = `${repositoryOf(reference)}:${descriptor.platform?.architecture}`
        await push({ ...index, descriptor }, part)
        parts.push(remote(part))
      }
      await call('manifest', 'create', '--insecure', remote(reference), ...parts)
      await call('manifest', 'push', '--insecure', remote(reference))
    },
    pullIndex: pull,
    [Symbol.asyncDispose]: () => daemon.stop(),
  }
}

/** Without bridge and firewall rules, so that nothing of it is left on the machine. */
async function startDockerd(folder: string, environment: Record<string, string>): Promise<Daemon> {
  await writeFile(join(folder, 'daemon.json'), '{}')
  const daemon = new Daemon(
    'dockerd',
    [
      `--config-file=${join(folder, 'daemon.json')}`,
      `--data-root=${join(folder, 'data')}`,
      `--exec-root=${join(folder, 'exec')}`,
      `--pidfile=${join(folder, 'pid')}`,
      `--host=${environment['DOCKER_HOST']}`,
      '--iptables=false',
      '--ip6tables=false',
      '--bridge=none',
    ],
    { logFile: join(folder, 'dockerd.log') },
  )
  await daemon.untilReady(async () => (await run('/usr/bin/docker', ['info'], environment)).status === 0, 60)
  return daemon
}
