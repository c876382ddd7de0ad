import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Daemon } from './daemon.ts'
import { findFreePort } from './listening.ts'

/** A Redis of its own on loopback, with a password and nothing on disk. It can be stopped and started again. */
export class Redis implements AsyncDisposable {
  readonly port: number
  readonly #folder: string
  #server: Daemon | undefined

  static async start(): Promise<Redis> {
    const redis = new Redis(await findFreePort(), await mkdtemp(join(tmpdir(), 'atcr-redis-')))
    await redis.start()
    return redis
  }

  private constructor(port: number, folder: string) {
    this.port = port
    this.#folder = folder
  }

  readonly password = 'redis-password-of-the-tests'

  get url(): string {
    return `redis://:${this.password}@127.0.0.1:${this.port}/0`
  }

  async start(): Promise<void> {
    const settings = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#folder]
    const args = ['--port', String(this.port), '--requirepass', this.password, ...settings]
    this.#server = new Daemon('redis-server', args, { logFile: join(this.#folder, 'log') })
    await this.#server.untilReady(() => answers(this.port), 30)
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#server?.stop(signal)
    this.#server = undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
