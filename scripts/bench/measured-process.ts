import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, readlink, writeFile } from 'node:fs/promises'

import { sleep } from '../../src/lib/clock.ts'

const running = new Set<ChildProcess>()

// A run that is interrupted leaves no server behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export interface ProcessOptions {
  /** For the table: `AppView`, `hold`, `docker-registry`. */
  name: string
  command: string
  args: readonly string[]
  env: Record<string, string>
  /** Its complaints, unless they are of no interest. */
  stderr?: 'ignore'
  /** Answers below 500 once the program is up. */
  healthUrl: string
}

/** A server in a process of its own, with its memory and CPU as the kernel counts them (Linux). */
export class MeasuredProcess implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    running.add(child)
    child.once('exit', () => running.delete(child))
  }

  static async start({
    name,
    command,
    args,
    env,
    stderr,
    healthUrl,
  }: ProcessOptions): Promise<MeasuredProcess> {
    const basics = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' }
    const child = spawn(command, args, {
      env: { ...basics, ...env },
      stdio: ['ignore', 'ignore', stderr ?? 'inherit'],
    })
    const started = new MeasuredProcess(name, child)
    child.once('error', () => running.delete(child))
    for (let attempt = 0; attempt < 2400; attempt++) {
      if (!running.has(child)) throw new Error(`${name} ended with ${child.exitCode} instead of starting`)
      const response = await fetch(healthUrl).catch(() => undefined)
      await response?.body?.cancel()
      if (response !== undefined && response.status < 500) return started
      await sleep(50)
    }
    await started.stop()
    throw new Error(`${name} did not answer at ${healthUrl}`)
  }

  /** Highest resident memory since the last {@link resetPeak}, in MiB. */
  async peakMebibytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024
  }

  /** Resident memory now, in MiB. */
  async residentMebibytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024
  }

  /** What it has open: sockets, and everything together. */
  async openCounts(): Promise<{ sockets: number; all: number }> {
    const folder = `/proc/${this.#child.pid}/fd`
    const names = await readdir(folder)
    const targets = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')))
    return { sockets: targets.filter((target) => target.startsWith('socket:')).length, all: names.length }
  }

  async resetPeak(): Promise<void> {
    await writeFile(`/proc/${this.#child.pid}/clear_refs`, '5')
  }

  /** CPU seconds used so far, user and system together. */
  async cpuSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.#child.pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  async stop(): Promise<void> {
    if (!running.has(this.#child)) return
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 15_000)
    await gone
    clearTimeout(killer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
