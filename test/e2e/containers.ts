import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { sleep } from '../../src/lib/clock.ts'
import { mustRun, run, type CommandResult } from './command.ts'

/** No container on this machine may raise limits, and so may not podman for it. */
const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024']

/** As compose files and Kubernetes are advised to run ours. */
const hardened = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'all', '--security-opt', 'no-new-privileges'] // prettier-ignore

/** Podman and buildah with a storage of their own, below a folder; in the end no container runs. */
export class Containers implements AsyncDisposable {
  /** For programs that are to use the same storage. */
  readonly environment: Record<string, string>

  static async create(folder: string): Promise<Containers> {
    await mkdir(folder, { recursive: true })
    const file = join(folder, 'storage.conf')
    const lines = ['driver = "vfs"', `graphroot = "${folder}/graph"`, `runroot = "${folder}/run"`]
    await writeFile(file, ['[storage]', ...lines, ''].join('\n'))
    const logins = join(folder, 'auth.json')
    await writeFile(logins, '{}')
    return new Containers({ CONTAINERS_STORAGE_CONF: file, REGISTRY_AUTH_FILE: logins })
  }

  private constructor(environment: Record<string, string>) {
    this.environment = environment
  }

  async podman(...args: string[]): Promise<string> {
    return (await mustRun('podman', ['--runtime', 'runc', '--log-level', 'fatal', ...args], this.environment)).trim() // prettier-ignore
  }

  tryPodman(...args: string[]): Promise<CommandResult> {
    return run('podman', ['--runtime', 'runc', '--log-level', 'fatal', ...args], this.environment)
  }

  /** Starts a hardened container; it answers a little later. */
  start(
    name: string,
    image: string,
    settings: Record<string, string>,
    ...options: string[]
  ): Promise<string> {
    const variables = Object.entries(settings).flatMap(([key, value]) => ['--env', `${key}=${value}`])
    // Without its own log file podman would look for a journal.
    return this.podman('run', '--detach', '--name', name, '--log-driver', 'k8s-file', ...limits, ...hardened, ...variables, ...options, image) // prettier-ignore
  }

  /** Asks the image's own health check until it is content. @throws Error with the container's log */
  async untilHealthy(name: string): Promise<void> {
    for (let attempt = 0; attempt < 120; attempt++) {
      if ((await this.tryPodman('healthcheck', 'run', name)).status === 0) return
      await sleep(500)
    }
    throw new Error(`${name} does not become healthy:\n${await this.log(name)}`)
  }

  async log(name: string): Promise<string> {
    const { stdout, stderr } = await this.tryPodman('logs', name)
    return stdout + stderr
  }

  async inspect<Result>(name: string): Promise<Result> {
    const [result] = JSON.parse(await this.podman('inspect', name)) as Result[]
    return result as Result
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.podman('rm', '--all', '--force', '--volumes', '--time', '10')
  }
}
