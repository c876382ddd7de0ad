import { join } from 'node:path'

import { openAccounts, type Accounts } from './accounts.ts'
import { Gates } from './faults.ts'
import { JetstreamRelay } from './jetstream.ts'
import { assertPortFree, findFreePort } from './listening.ts'
import { TestPds } from './pds.ts'
import { PlcDirectory } from './plc.ts'
import { S3StandIn } from './s3.ts'

/** The parts of the network, in the order of their ports. */
export const partNames = ['appview', 'hold', 'pds', 'plc', 'jetstream', 's3'] as const
type PartName = (typeof partNames)[number]
export type Ports = Record<PartName, number>

export interface InfrastructureOptions {
  /** Where everything is kept; to be there already. */
  folder: string
  /** As given, the others are free ones. */
  ports: Partial<Ports>
  storage: 'filesystem' | 's3'
  pdsRateLimits: boolean
  /** Where AppView and hold will listen, unless on loopback: their ports are looked at there. */
  bind?: string | undefined
  /** Told when a part is up. */
  progress: (part: string, detail: string) => void
}

export const s3Credentials = { accessKey: 'atcr-dev', secretKey: 'atcr-dev-secret', region: 'us-east-1' }
export const s3Bucket = 'atcr'

/** S3 lives at another address than the registry: clients then leave their registry token behind on a redirect. */
const s3Host = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1'

/** All that the AppView and the hold need of the world: DID directory, PDS with accounts, event stream, S3. */
export class Infrastructure implements AsyncDisposable {
  readonly gates: Gates
  readonly ports: Ports
  readonly plc: PlcDirectory
  readonly pds: TestPds
  readonly accounts: Accounts
  readonly jetstream: JetstreamRelay
  readonly s3: S3StandIn | undefined
  readonly #stack: AsyncDisposableStack

  static async start(options: InfrastructureOptions): Promise<Infrastructure> {
    const ports = await choosePorts(options)
    const gates = new Gates()
    await using stack = new AsyncDisposableStack()
    const { folder, progress } = options
    const plc = stack.use(
      await PlcDirectory.start({ file: join(folder, 'plc/operations.json'), port: ports.plc }),
    )
    gates.install(plc.server, 'plc')
    progress('DID directory', plc.url)
    const pds = stack.use(
      await TestPds.start({ folder: join(folder, 'pds'), plcUrl: plc.url, port: ports.pds, rateLimits: options.pdsRateLimits }), // prettier-ignore
    )
    gates.install(pds.server, 'pds')
    progress('PDS', pds.url)
    const accounts = await openAccounts({ file: join(folder, 'accounts.json'), pdsUrl: pds.url })
    progress('accounts', Object.values(accounts).map((it) => it.handle).join(', ')) // prettier-ignore
    const relay = { file: join(folder, 'jetstream/events.sqlite'), plcUrl: plc.url, port: ports.jetstream }
    const jetstream = stack.use(await JetstreamRelay.start(relay))
    gates.install(jetstream.server, 'jetstream')
    jetstream.follow('pds', pds.url)
    progress('event stream', jetstream.url)
    const s3 = options.storage === 's3' ? stack.use(await startS3(folder, ports.s3)) : undefined
    if (s3 !== undefined) {
      gates.install(s3.server, 's3')
      progress('S3 stand-in', s3.url)
    }
    return new Infrastructure({ gates, ports, plc, pds, accounts, jetstream, s3 }, stack.move())
  }

  private constructor(
    parts: Pick<Infrastructure, 'gates' | 'ports' | 'plc' | 'pds' | 'accounts' | 'jetstream' | 's3'>,
    stack: AsyncDisposableStack,
  ) {
    this.gates = parts.gates
    this.ports = parts.ports
    this.plc = parts.plc
    this.pds = parts.pds
    this.accounts = parts.accounts
    this.jetstream = parts.jetstream
    this.s3 = parts.s3
    this.#stack = stack
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

function startS3(folder: string, port: number): Promise<S3StandIn> {
  return S3StandIn.start({
    folder: join(folder, 's3'),
    credentials: s3Credentials,
    buckets: [s3Bucket],
    port,
    host: s3Host,
  })
}

type PortOptions = Pick<InfrastructureOptions, 'ports' | 'storage' | 'bind'>

/** @throws {ListenError} naming the first wanted port that is taken; to be asked before anything is started or removed. */
export async function assertPortsFree(options: PortOptions): Promise<void> {
  for (const name of partsOf(options)) {
    const port = options.ports[name]
    if (port === undefined) continue
    await assertPortFree({ what: `the ${titles[name]}`, host: hostOf(name, options.bind), port })
  }
}

async function choosePorts(options: PortOptions): Promise<Ports> {
  await assertPortsFree(options)
  const ports: Partial<Ports> = {}
  for (const name of partsOf(options)) {
    ports[name] = options.ports[name] ?? (await findFreePort(hostOf(name, options.bind)))
  }
  return { s3: 0, ...ports } as Ports
}

function partsOf({ storage }: PortOptions): PartName[] {
  return partNames.filter((name) => name !== 's3' || storage === 's3')
}

function hostOf(part: PartName, bind: string | undefined): string {
  if (part === 's3') return s3Host
  return part === 'appview' || part === 'hold' ? (bind ?? '127.0.0.1') : '127.0.0.1'
}

const titles: Record<PartName, string> = {
  appview: 'AppView',
  hold: 'hold',
  pds: 'PDS',
  plc: 'DID directory',
  jetstream: 'event stream',
  s3: 'S3 stand-in',
}
