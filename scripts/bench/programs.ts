import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Infrastructure } from '../../test/network/infrastructure.ts'
import { findFreePort } from '../../test/network/listening.ts'
import { MeasuredProcess } from './measured-process.ts'

/** An AppView of the run, with what is particular about it. */
export interface MeasuredAppView extends AsyncDisposable {
  url: string
  process: MeasuredProcess
}

/**
 * AppViews and a hold as an operator runs them, each a process started by its door with settings from the environment,
 * so that memory and CPU can be told apart. Everything else of the network (PDS, directory, event stream) runs in
 * this process.
 */
export class Programs implements AsyncDisposable {
  readonly network: Infrastructure
  readonly hold: MeasuredProcess
  readonly folder: string
  readonly #nodeArgs: readonly string[]
  readonly #stack: AsyncDisposableStack
  #count = 0

  private constructor(
    parts: Pick<Programs, 'network' | 'hold' | 'folder'> & {
      nodeArgs: readonly string[]
      stack: AsyncDisposableStack
    },
  ) {
    this.network = parts.network
    this.hold = parts.hold
    this.folder = parts.folder
    this.#nodeArgs = parts.nodeArgs
    this.#stack = parts.stack
  }

  /** With a folder for profiles, our programs write a CPU profile there when they stop. */
  static async start(options: { profilesFolder?: string | undefined } = {}): Promise<Programs> {
    const nodeArgs = options.profilesFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${options.profilesFolder}`] // prettier-ignore
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'atcr-bench-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const network = stack.use(
      await Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined }), // prettier-ignore
    )
    const { ports, plc, accounts } = network
    const hold = stack.use(
      await MeasuredProcess.start({
        name: 'hold',
        command: process.execPath,
        args: [...nodeArgs, 'src/hold/main.ts', 'serve'],
        healthUrl: `http://127.0.0.1:${ports.hold}/health`,
        env: {
          HOLD_LOG_LEVEL: 'error',
          HOLD_SERVER_ADDR: `127.0.0.1:${ports.hold}`,
          HOLD_SERVER_PUBLIC_URL: `http://localhost:${ports.hold}`,
          HOLD_SERVER_PUBLIC: 'true',
          HOLD_SERVER_TEST_MODE: 'true',
          // All load comes from one address.
          HOLD_LIMITS_ENABLED: 'false',
          HOLD_REGISTRATION_OWNER_DID: accounts.alice.did,
          HOLD_REGISTRATION_ALLOW_ALL_CREW: 'true',
          HOLD_STORAGE_PATH: join(folder, 'hold/blobs'),
          HOLD_DATABASE_PATH: join(folder, 'hold/hold.db'),
          HOLD_DATABASE_KEY_PATH: join(folder, 'hold/signing.key'),
          HOLD_DATABASE_PLC_DIRECTORY_URL: plc.url,
        },
      }),
    )
    return new Programs({ network, hold, folder, nodeArgs, stack: stack.move() })
  }

  /** Where the hold keeps its blobs. */
  get blobsFolder(): string {
    return join(this.folder, 'hold/blobs')
  }

  /** One more AppView before the same network, knowing nothing yet. */
  async startAppView(settings: Record<string, string>): Promise<MeasuredAppView> {
    const { ports, plc, pds, jetstream } = this.network
    const port = await findFreePort()
    const url = `http://127.0.0.1:${port}`
    const measured = await MeasuredProcess.start({
      name: 'AppView',
      command: process.execPath,
      args: [...this.#nodeArgs, 'src/appview/main.ts', 'serve'],
      healthUrl: `${url}/health`,
      env: {
        ATCR_LOG_LEVEL: 'error',
        ATCR_SERVER_ADDR: `127.0.0.1:${port}`,
        ATCR_SERVER_BASE_URL: url,
        ATCR_SERVER_DATA_FOLDER: join(this.folder, `appview-${(this.#count += 1)}`),
        ATCR_SERVER_DEFAULT_HOLD_DID: `did:web:localhost%3A${ports.hold}`,
        ATCR_SERVER_TEST_MODE: 'true',
        ATCR_LIMITS_ENABLED: 'false',
        ATCR_IDENTITY_PLC_DIRECTORY_URL: plc.url,
        ATCR_IDENTITY_HANDLE_RESOLVER_URL: pds.url,
        ATCR_JETSTREAM_URLS: jetstream.url,
        ...settings,
      },
    })
    return { url, process: measured, [Symbol.asyncDispose]: () => measured.stop() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
