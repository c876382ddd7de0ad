import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Now } from '../../src/lib/clock.ts'
import { setLogLevel, type LogLevel } from '../../src/lib/log.ts'
import type { AppViewSettings, HoldSettings } from './programs.ts'
import { Programs } from './programs.ts'
import type { Accounts } from './accounts.ts'
import type { Calls, Faults } from './faults.ts'
import { Infrastructure, type Ports } from './infrastructure.ts'
import { startPostgres } from './postgres.ts'
import { settle } from './settle.ts'

export interface NetworkOptions {
  /** Where the hold keeps layers; `filesystem` unless told. */
  storage?: 'filesystem' | 's3'
  /** How layers reach the hold; `direct` unless told. `auto`: as the client can, which is what operators have. */
  uploadMode?: 'auto' | 'direct' | 'relay'
  /** Keeps everything over restarts. Unless told a temporary folder, removed in the end. */
  dataDir?: string
  /** Those not told are free ones. With `dataDir`, the same at every start: DIDs and documents name them. */
  ports?: Partial<Ports>
  /** Address AppView and hold listen on; loopback unless told. */
  bind?: string | undefined
  /** The PDS's limits as on a public server. */
  pdsRateLimits?: boolean
  /** Settings over ours, section by section. */
  appview?: AppViewSettings
  hold?: HoldSettings
  /** Time as AppView and hold see it; the machine's unless told. */
  now?: Now
  /** Time as the hold alone sees it. */
  holdNow?: Now
  /** Time as the AppView believes that PDS and hold see it. */
  callsNow?: Now
  /** Of AppView and hold; `silent` unless told. */
  logLevel?: LogLevel
  /** Told when a part is up. */
  progress?: (part: string, detail: string) => void
}

/** With `TEST_DATABASE=postgres` every AppView that is not told otherwise has a PostgreSQL of its own. */
async function withTestDatabase(
  settings: AppViewSettings,
  stack: AsyncDisposableStack,
): Promise<AppViewSettings> {
  const isTold = settings.ui?.database_url !== undefined || settings.ui?.database_path !== undefined
  if (process.env['TEST_DATABASE'] !== 'postgres' || isTold) return settings
  const postgres = stack.use(await startPostgres())
  return { ...settings, ui: { ...settings.ui, database_url: postgres.createDatabase() } }
}

/**
 * The whole network in this process, for tests and for `npm start`: DID directory, reference PDS with `alice.test` and
 * `bob.test`, event stream, a hold of alice's, AppView; S3 where asked for. Every server has a gate before it that
 * counts calls and lets tests inject faults.
 */
export class TestNetwork implements AsyncDisposable {
  readonly #infrastructure: Infrastructure
  readonly #programs: Programs
  readonly #stack: AsyncDisposableStack

  static async create(options: NetworkOptions = {}): Promise<TestNetwork> {
    setLogLevel(options.logLevel ?? 'silent')
    await using stack = new AsyncDisposableStack()
    const folder = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'atcr-network-')))
    if (options.dataDir === undefined) stack.defer(() => rm(folder, { recursive: true, force: true }))
    const { storage = 'filesystem', ports = {}, pdsRateLimits = false, progress = () => undefined } = options
    const infrastructure = stack.use(
      await Infrastructure.start({ folder, storage, ports, pdsRateLimits, progress, bind: options.bind }),
    )
    const programs = new Programs({
      infrastructure,
      folder,
      bind: options.bind,
      uploadMode: options.uploadMode ?? 'direct',
      appview: await withTestDatabase(options.appview ?? {}, stack),
      hold: options.hold ?? {},
      ...(options.now === undefined ? {} : { now: options.now }),
      ...(options.holdNow === undefined ? {} : { holdNow: options.holdNow }),
      ...(options.callsNow === undefined ? {} : { callsNow: options.callsNow }),
    })
    stack.use(programs)
    await programs.startHold()
    progress('hold', `${programs.hold.url}  ${programs.holdDid}`)
    await programs.startAppView()
    progress('AppView', programs.appview.url)
    return new TestNetwork(infrastructure, programs, stack.move())
  }

  private constructor(infrastructure: Infrastructure, programs: Programs, stack: AsyncDisposableStack) {
    this.#infrastructure = infrastructure
    this.#programs = programs
    this.#stack = stack
  }

  /** The AppView that runs just now; another one after a restart. */
  get appview(): Programs['appview'] {
    return this.#programs.appview
  }

  get hold(): Programs['hold'] {
    return this.#programs.hold
  }

  get pds(): Infrastructure['pds'] {
    return this.#infrastructure.pds
  }

  get plc(): Infrastructure['plc'] {
    return this.#infrastructure.plc
  }

  get jetstream(): Infrastructure['jetstream'] {
    return this.#infrastructure.jetstream
  }

  get s3(): Infrastructure['s3'] {
    return this.#infrastructure.s3
  }

  get accounts(): Accounts {
    return this.#infrastructure.accounts
  }

  get faults(): Faults {
    return this.#infrastructure.gates.faults
  }

  get calls(): Calls {
    return this.#infrastructure.gates.calls
  }

  /**
   * Resolves when nothing is under way: the events of PDS and hold have passed the event stream, the index has them,
   * and the hold was told of every push. Rejects after 30 s, naming what is still awaited.
   */
  settled(): Promise<void> {
    return settle(this.#infrastructure, this.#programs)
  }

  /** The AppView is gone, until {@link restartAppView}. */
  stopAppView(): Promise<void> {
    return this.#programs.stopAppView()
  }

  async restartAppView(): Promise<void> {
    await this.#programs.stopAppView()
    await this.#programs.startAppView()
  }

  /** The hold is gone, until {@link restartHold}. */
  stopHold(): Promise<void> {
    return this.#programs.stopHold()
  }

  async restartHold(): Promise<void> {
    await this.#programs.stopHold()
    await this.#programs.startHold()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}
