import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { randomId } from '../../../src/lib/ids.ts'
import { Daemon } from '../../network/daemon.ts'
import { mustRun, run } from '../command.ts'
import type { Account, Client, ClientOptions, ClientSource, LocalImage, Pulled } from './client.ts'
import { findMissingPackage } from './debian-program.ts'

export const ctr: ClientSource = {
  name: 'containerd (ctr)',
  lacks: { artifact: 'no command for artifacts' },
  findObstacle: () =>
    findMissingPackage('containerd', 'runc') ??
    (process.getuid?.() === 0 ? undefined : 'containerd needs root'),
  start,
}

async function start({ registry, folder }: ClientOptions): Promise<Client> {
  const socket = join(folder, 'containerd.sock')
  const daemon = await startContainerd(folder, socket)
  const call = (...args: string[]) => mustRun('ctr', ['--address', socket, ...args])
  const remote = (reference: string) => `${registry}/${reference}`
  // It keeps no credentials: they go along with each command.
  let account: Account | undefined
  const credentials = () => (account ? ['--user', `${account.username}:${account.password}`] : [])

  async function pushAs(name: string): Promise<void> {
    await call('images', 'push', '--plain-http', ...credentials(), name)
  }
  async function push(image: LocalImage, reference: string): Promise<void> {
    const archive = join(folder, `${randomId(6)}.tar`)
    await mustRun('tar', ['-C', image.layoutPath, '-cf', archive, '.'])
    const name = remote(reference)
    await call('images', 'import', '--all-platforms', '--digests', '--base-name', 'import', archive)
    await call('images', 'tag', '--force', `import@${image.descriptor.digest}`, name)
    await pushAs(name)
  }
  async function pull(reference: string): Promise<Pulled> {
    const name = remote(reference)
    await call('images', 'pull', '--all-platforms', '--plain-http', ...credentials(), name)
    const layoutPath = join(folder, `pulled-${randomId(6)}`)
    await mkdir(layoutPath)
    await call('images', 'export', '--all-platforms', '--skip-manifest-json', `${layoutPath}.tar`, name)
    await mustRun('tar', ['-C', layoutPath, '-xf', `${layoutPath}.tar`])
    const digest = (await call('images', 'ls', `name==${name}`)).match(/sha256:\w+/)?.[0] ?? ''
    return { digest, layoutPath }
  }
  return {
    version: (await call('version')).match(/Version:\s+(\S+)/)?.[1] ?? '',
    async login(to) {
      account = to
    },
    async logout() {
      account = undefined
    },
    push,
    pull,
    async copy(from, to) {
      await call('images', 'pull', '--plain-http', ...credentials(), remote(from))
      await call('images', 'tag', remote(from), remote(to))
      await pushAs(remote(to))
    },
    pushIndex: push,
    pullIndex: pull,
    [Symbol.asyncDispose]: () => daemon.stop(),
  }
}

async function startContainerd(folder: string, socket: string): Promise<Daemon> {
  const configuration = join(folder, 'containerd.toml')
  await writeFile(
    configuration,
    `version = 2
root = "${folder}/root"
state = "${folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
`,
  )
  const logFile = join(folder, 'containerd.log')
  const daemon = new Daemon('containerd', ['--config', configuration], { logFile })
  await daemon.untilReady(async () => (await run('ctr', ['--address', socket, 'version'])).status === 0, 60)
  return daemon
}
