import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import { parseDocument } from 'yaml'

import { Daemon } from './daemon.ts'
import type { Infrastructure } from './infrastructure.ts'

const main = join(import.meta.dirname, '../../src/all-in-one/main.ts')

/** What `atcr` said, and how it ended. */
export interface CommandOutcome {
  exitCode: number | null
  stdout: string
  stderr: string
}

export interface AllInOneOptions {
  /** For its file, its data and its log. */
  folder: string
  /** As they would stand in the file, over those that a test network needs. */
  settings: Record<string, unknown>
  infrastructure: Pick<Infrastructure, 'plc' | 'pds' | 'jetstream' | 'ports'>
}

/** `atcr` as people run it: a process of its own, with a file that `config init` wrote and somebody filled in. */
export class AllInOne implements AsyncDisposable {
  readonly url: string
  readonly configFile: string
  readonly logFile: string
  readonly #port: number
  #daemon: Daemon | undefined

  /** Writes the file; nothing runs yet. */
  static async configure({ folder, settings, infrastructure }: AllInOneOptions): Promise<AllInOne> {
    const { plc, pds, jetstream, ports } = infrastructure
    const atcr = new AllInOne(folder, ports.appview)
    const { exitCode, stderr } = await atcr.run('config', 'init', atcr.configFile)
    if (exitCode !== 0) throw new Error(stderr)
    const document = parseDocument(await readFile(atcr.configFile, 'utf8'))
    const ours = {
      address: atcr.url,
      addr: `127.0.0.1:${ports.appview}`,
      data_folder: join(folder, 'data'),
      test_mode: true,
      identity: { plc_directory_url: plc.url, handle_resolver_url: pds.url },
      appview: { jetstream: { urls: [jetstream.url], relay_endpoints: [] } },
    }
    for (const [name, value] of Object.entries({ ...ours, ...settings }))
      document.setIn([name], document.createNode(value))
    await writeFile(atcr.configFile, document.toString())
    return atcr
  }

  private constructor(folder: string, port: number) {
    this.#port = port
    this.url = `http://127.0.0.1:${port}`
    this.configFile = join(folder, 'atcr.yaml')
    this.logFile = join(folder, 'atcr.log')
  }

  /** Starts `atcr serve` and waits until both programs answer. */
  async serve(): Promise<void> {
    const args = [main, 'serve', '--config', this.configFile]
    this.#daemon = new Daemon(process.execPath, args, { logFile: this.logFile, env: cleanEnvironment() })
    await this.#daemon.untilReady(
      async () => (await fetch(`http://127.0.0.1:${this.#port}/health`).catch(() => undefined))?.ok === true,
      60,
    )
  }

  /** SIGTERM, as a service manager does. */
  async stop(): Promise<void> {
    await this.#daemon?.stop()
    this.#daemon = undefined
  }

  log(): Promise<string> {
    return readFile(this.logFile, 'utf8')
  }

  /** A command of `atcr`, to its end. */
  async run(...command: string[]): Promise<CommandOutcome> {
    const child = spawn(process.execPath, [main, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
    })
    const ended = once(child, 'exit')
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
    await ended
    return { exitCode: child.exitCode, stdout, stderr }
  }

  /** A command with the file of settings. */
  withConfig(...command: string[]): Promise<CommandOutcome> {
    return this.run(...command, '--config', this.configFile)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Without settings of whoever runs the tests. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:ATCR|HOLD)_/.test(name)))
}
