import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Infrastructure } from '../../test/network/infrastructure.ts'

export interface ProgramsOptions {
  uploadMode: 'direct' | 'relay'
}

/**
 * AppView and hold as an operator runs them, each a process started by its door with settings from the environment,
 * so that memory and CPU can be told apart. Everything else of the network runs in this process.
 */
export class Programs implements AsyncDisposable {
  readonly network: Infrastructure
  readonly appview: MeasuredProcess
  readonly hold: MeasuredProcess
  readonly registry: string
  readonly #folder: string

  private constructor(
    network: Infrastructure,
    appview: MeasuredProcess,
    hold: MeasuredProcess,
    folder: string,
  ) {
    this.network = network
    this.appview = appview
    this.hold = hold
    this.registry = `127.0.0.1:${network.ports.appview}`
    this.#folder = folder
  }

  static async start(options: ProgramsOptions): Promise<Programs> {
    const folder = await mkdtemp(join(tmpdir(), 'atcr-bench-'))
    const network = await Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined }) // prettier-ignore
    const { ports, plc, pds, accounts, jetstream } = network
    const hold = await MeasuredProcess.start('src/hold/main.ts', `http://127.0.0.1:${ports.hold}/health`, {
      HOLD_LOG_LEVEL: 'warn',
      HOLD_SERVER_ADDR: `127.0.0.1:${ports.hold}`,
      HOLD_SERVER_PUBLIC_URL: `http://localhost:${ports.hold}`,
      HOLD_SERVER_PUBLIC: 'true',
      HOLD_SERVER_TEST_MODE: 'true',
      HOLD_REGISTRATION_OWNER_DID: accounts.alice.did,
      HOLD_REGISTRATION_ALLOW_ALL_CREW: 'true',
      HOLD_STORAGE_PATH: join(folder, 'hold/blobs'),
      HOLD_DATABASE_PATH: join(folder, 'hold/hold.db'),
      HOLD_DATABASE_KEY_PATH: join(folder, 'hold/signing.key'),
      HOLD_DATABASE_PLC_DIRECTORY_URL: plc.url,
    })
    const appview = await MeasuredProcess.start(
      'src/appview/main.ts',
      `http://127.0.0.1:${ports.appview}/health`,
      {
        ATCR_LOG_LEVEL: 'warn',
        ATCR_SERVER_ADDR: `127.0.0.1:${ports.appview}`,
        ATCR_SERVER_BASE_URL: `http://127.0.0.1:${ports.appview}`,
        ATCR_SERVER_DATA_FOLDER: join(folder, 'appview'),
        ATCR_SERVER_DEFAULT_HOLD_DID: `did:web:localhost%3A${ports.hold}`,
        ATCR_SERVER_UPLOAD_MODE: options.uploadMode,
        ATCR_SERVER_TEST_MODE: 'true',
        ATCR_IDENTITY_PLC_DIRECTORY_URL: plc.url,
        ATCR_IDENTITY_HANDLE_RESOLVER_URL: pds.url,
        ATCR_JETSTREAM_URLS: jetstream.url,
      },
    )
    return new Programs(network, appview, hold, folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.appview.stop()
    await this.hold.stop()
    await this.network[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** A program started by its door, with its memory and CPU as the kernel counts them (Linux). */
export class MeasuredProcess {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(
    door: string,
    healthUrl: string,
    settings: Record<string, string>,
  ): Promise<MeasuredProcess> {
    const env = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...settings }
    const child = spawn(process.execPath, [door, 'serve'], { env, stdio: ['ignore', 'inherit', 'inherit'] })
    const started = new MeasuredProcess(child)
    for (let attempt = 0; attempt < 200; attempt++) {
      if (child.exitCode !== null) throw new Error(`${door} ended with ${child.exitCode}`)
      const response = await fetch(healthUrl).catch(() => undefined)
      if (response?.ok === true) return started
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    await started.stop()
    throw new Error(`${door} did not become healthy`)
  }

  /** Highest resident memory since the last {@link resetPeak}, in MiB. */
  async peakMebibytes(): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8')
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024
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
    if (this.#child.exitCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
  }
}
