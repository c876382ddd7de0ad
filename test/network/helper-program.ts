import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { bareEnvironment } from './bare-environment.ts'

export interface HelperResult {
  status: number | null
  stdout: string
  stderr: string
}

export interface HelperRun {
  input?: string | Uint8Array
  environment?: Record<string, string>
  /** Told what the program prints, as it comes. */
  onOutput?: (text: string, interrupt: () => void) => void
  /** A shell whose command line holds these stands between: as docker would. */
  calledBy?: string[]
}

/** The credential helper as a program of its own, with a home folder of its own. */
export class HelperProgram implements AsyncDisposable {
  readonly home: string
  readonly #command: readonly string[]

  /** `command`: what to run; unless told, its sources. */
  static async create(command?: readonly string[]): Promise<HelperProgram> {
    const home = await mkdtemp(join(tmpdir(), 'atcr-helper-home-'))
    return new HelperProgram(home, command ?? [process.execPath, join(import.meta.dirname, '../../src/credential-helper/main.ts')]) // prettier-ignore
  }

  private constructor(home: string, command: readonly string[]) {
    this.home = home
    this.#command = command
  }

  run(
    words: readonly string[],
    { input = '', environment = {}, onOutput, calledBy }: HelperRun = {},
  ): Promise<HelperResult> {
    const own = [...this.#command, ...words]
    const script = `${own.map((word) => `'${word}'`).join(' ')}; exit $?`
    const [program = '', ...args] = calledBy === undefined ? own : ['/bin/sh', '-c', script, ...calledBy]
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, { env: this.#environment(environment), stdio: 'pipe' })
      const result: HelperResult = { status: null, stdout: '', stderr: '' }
      const interrupt = () => void child.kill('SIGINT')
      child.stdout.on('data', (chunk: Buffer) => {
        result.stdout += chunk.toString()
        onOutput?.(result.stdout, interrupt)
      })
      child.stderr.on('data', (chunk: Buffer) => (result.stderr += chunk.toString()))
      child.once('error', reject)
      // It may end before it has read everything.
      child.stdin.on('error', () => undefined)
      child.stdin.end(input)
      child.once('close', (status) => resolve({ ...result, status }))
    })
  }

  /** A file under the home folder, as JSON. */
  async readJson(path: string): Promise<unknown> {
    return JSON.parse(await this.readText(path))
  }

  /** A file under the home folder. */
  readText(path: string): Promise<string> {
    return readFile(join(this.home, path), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.home, { recursive: true, force: true })
  }

  #environment(more: Record<string, string>): Record<string, string> {
    return bareEnvironment({ PATH: process.env['PATH'] ?? '', HOME: this.home, ...more })
  }
}
