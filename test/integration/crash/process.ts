import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'

import { afterAll, beforeAll } from 'vitest'

import type { GcProgress } from '../../../src/hold/services/garbage-collection.ts'
import { bundleChild, type Bundle } from './bundle.ts'
import type { Findings, Request } from './child.ts'

let bundle: Bundle

/** For a test file that starts holds: what they are started from is there until its tests are over. */
export function useHoldProcesses(): void {
  beforeAll(async () => {
    bundle = await bundleChild()
  })
  afterAll(() => rm(bundle.folder, { recursive: true, force: true }))
}

/** A hold in a process of its own; see `child.ts`. */
export class HoldProcess {
  readonly #process: ChildProcess
  readonly #loaded: Promise<unknown>
  #stderr = ''

  constructor() {
    this.#process = fork(bundle.script, {
      // Nothing of the test runner's own options.
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: { ...process.env, NODE_COMPILE_CACHE: bundle.compileCache },
    })
    this.#process.stderr?.on('data', (text) => (this.#stderr += String(text)))
    this.#loaded = this.#answer()
    // One that is killed before anybody spoke to it.
    this.#loaded.catch(() => undefined)
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }

  async open(options: Omit<Request & { kind: 'open' }, 'kind'>): Promise<Findings> {
    return (await this.#ask({ kind: 'open', ...options })) as Findings
  }

  /** Moves the clock of one that is open. */
  async move(hoursLater: number): Promise<void> {
    await this.#ask({ kind: 'move', hoursLater })
  }

  /** What is there once the jobs of the hold have run, with every byte read. */
  async inspect(): Promise<Findings> {
    return (await this.#ask({ kind: 'inspect' })) as Findings
  }

  /** Resolves when what a push set going is over, or throws because the hold is. */
  async settle(): Promise<void> {
    await this.#ask({ kind: 'settle' })
  }

  /** A run of garbage collection to its end. */
  async collect(): Promise<GcProgress> {
    return (await this.#ask({ kind: 'collect' })) as GcProgress
  }

  async arm(point?: string): Promise<void> {
    await this.#ask({ kind: 'arm', point })
  }

  async listPoints(): Promise<string[]> {
    return (await this.#ask({ kind: 'list points' })) as string[]
  }

  /** Ends it, unless it has ended by itself. */
  async kill(): Promise<void> {
    if (this.hasEnded) return
    this.#process.kill('SIGKILL')
    await once(this.#process, 'exit')
  }

  async #ask(request: Request): Promise<unknown> {
    await this.#loaded
    const answer = this.#answer()
    // One that died meanwhile cannot be sent anything; that error is thrown then.
    answer.catch(() => undefined)
    this.#process.send(request)
    return await answer
  }

  async #answer(): Promise<unknown> {
    const stop = new AbortController()
    const { signal } = stop
    try {
      const ended = once(this.#process, 'exit', { signal }).then(() => {
        throw new Error(`the hold ended: ${this.#stderr}`)
      })
      const [reply] = (await Promise.race([once(this.#process, 'message', { signal }), ended])) as unknown[]
      ended.catch(() => undefined)
      return reply
    } finally {
      stop.abort()
    }
  }
}
