import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'

import { sleep } from '../../src/lib/clock.ts'

const running = new Set<ChildProcess>()

// A test run that is interrupted leaves no server behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A server that is another program, with its log in a file. Ended by its own process id, never by name. */
export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #logFile: string

  constructor(
    command: string,
    args: readonly string[],
    options: { logFile: string; env?: NodeJS.ProcessEnv },
  ) {
    this.#name = command
    this.#logFile = options.logFile
    const log = openSync(options.logFile, 'a')
    this.#child = spawn(command, args, { stdio: ['ignore', log, log], env: options.env ?? process.env })
    closeSync(log)
    running.add(this.#child)
    this.#child.once('exit', () => running.delete(this.#child))
    // A program that is not there is told by `untilReady`.
    this.#child.once('error', () => running.delete(this.#child))
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.#name} could not be started`)
    return this.#child.pid
  }

  /** Asks `isReady` until it says so. @throws Error with the end of the log when the program ended or took too long */
  async untilReady(isReady: () => Promise<boolean>, secondsMax: number): Promise<void> {
    for (const deadline = Date.now() + secondsMax * 1000; !(await isReady()); await sleep(50)) {
      if (running.has(this.#child) && Date.now() < deadline) continue
      throw new Error(`${this.#name} did not start:\n${readFileSync(this.#logFile, 'utf8').slice(-3000)}`)
    }
  }

  /** Ends the program and waits until it has gone; one that ignores `SIGTERM` for 15 s is killed. */
  async stop(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (!running.has(this.#child)) return
    const gone = once(this.#child, 'exit')
    this.#child.kill(signal)
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 15_000)
    await gone
    clearTimeout(killer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
