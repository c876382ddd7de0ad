import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { bareEnvironment } from './bare-environment.ts'

/** A program of ours as an operator starts it: a process with a file of settings, spoken to by signals. */
export class ServerProcess {
  readonly #child: ChildProcess
  #log = ''
  #onLine = Promise.withResolvers<void>()

  constructor(main: string, config: string, environment: Record<string, string> = {}) {
    const words = [main, 'serve', '--config', config]
    this.#child = spawn(process.execPath, words, {
      env: bareEnvironment(environment),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.#log += chunk.toString()
        this.#wake()
      })
    this.#child.once('exit', () => this.#wake())
  }

  /** Everything it has said. */
  get log(): string {
    return this.#log
  }

  /** Sends a signal and waits for what the program has to say to that; returns what it said from then on. */
  async signal(name: NodeJS.Signals, answer: string | RegExp): Promise<string> {
    const from = this.#log.length
    this.#child.kill(name)
    return this.said(answer, from)
  }

  /** Waits for a line. @throws {Error} with all that was said, when the program ends without it */
  async said(answer: string | RegExp, from = 0): Promise<string> {
    for (;;) {
      const text = this.#log.slice(from)
      if (typeof answer === 'string' ? text.includes(answer) : answer.test(text)) return text
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`the program ended without saying ${String(answer)}:\n${this.#log}`)
      await this.#onLine.promise
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    await exit
  }

  #wake(): void {
    this.#onLine.resolve()
    this.#onLine = Promise.withResolvers()
  }
}
