import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { join } from 'node:path'

import { Daemon } from './daemon.ts'

/** An address of the machine and the names that lead there. */
export interface MachineAddress {
  address: string
  names?: readonly string[]
}

/**
 * A machine of its own as far as the network is concerned: a network and an `/etc/hosts` of its own (Linux namespaces), in
 * which addresses that count as public are at home. So programs run there as an operator would run them, on ports 80 and
 * 443 and without `test_mode`, and nothing of it is seen outside. Files and users are those of this machine.
 */
export class Machine implements AsyncDisposable {
  readonly #holder: ChildProcess

  /** Needs to be root, as containers do. `folder` keeps its `/etc/hosts`. */
  static async start(folder: string, addresses: readonly MachineAddress[]): Promise<Machine> {
    const hosts = join(folder, 'hosts')
    const lines = addresses.flatMap(({ address, names = [] }) => names.map((name) => `${address} ${name}\n`))
    await writeFile(hosts, ['127.0.0.1 localhost\n', ...lines].join(''), { mode: 0o644 })
    const script = [
      'set -e',
      'ip link set lo up',
      ...addresses
        .filter(({ address }) => !address.startsWith('127.'))
        .map(({ address }) => `ip address add ${address}/32 dev lo`),
      `mount --bind '${hosts}' /etc/hosts`,
      'echo ready',
      // Ends when this process does.
      'exec cat > /dev/null',
    ].join('\n')
    const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const [line] = await Promise.race([
      once(createInterface(holder.stdout), 'line'),
      once(holder, 'exit').then(() => ['']),
    ])
    if (line !== 'ready') throw new Error('no network namespace could be made: is this run as root?')
    return new Machine(holder)
  }

  private constructor(holder: ChildProcess) {
    this.#holder = holder
  }

  /** A command line that runs there; its process id is the program's own. */
  inside(command: string, args: readonly string[]): [command: string, args: string[]] {
    const where = ['--net', '--mount', `--target=${this.#holder.pid}`, `--wdns=${process.cwd()}`]
    return ['nsenter', [...where, '--', command, ...args]]
  }

  /** A server there, which goes on until it is stopped. */
  daemon(command: string, args: readonly string[], options: ConstructorParameters<typeof Daemon>[2]): Daemon {
    return new Daemon(...this.inside(command, args), options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#holder, 'exit')
    this.#holder.stdin?.end()
    await gone
  }
}

/** Bytes of memory that a process has resident now, and the most it ever had since {@link forgetPeakMemory}. */
export function residentBytes(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { now: read('VmRSS'), peak: read('VmHWM') }
}

/** From here on the peak of a process's memory is counted anew (proc(5), clear_refs). */
export async function forgetPeakMemory(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
}
