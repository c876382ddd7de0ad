import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import tls from 'node:tls'

import { sleep } from '../../src/lib/clock.ts'
import type { Accounts } from './accounts.ts'
import { bareEnvironment } from './bare-environment.ts'
import { environmentOf, readCompose, readEnvTemplate, type ComposeService } from './compose.ts'
import type { Daemon } from './daemon.ts'
import { listen } from './listening.ts'
import { Machine } from './machine.ts'
import { worldNames, worldPorts } from './world-names.ts'

export interface PublicNetworkOptions {
  /** The compose file whose environments are given to AppViews and hold. */
  compose: string
  /** Addresses of loopback, one for each AppView. Unless told one AppView at 127.0.0.1. */
  appviews?: readonly string[]
  /** Environment over that of the compose file. */
  appviewEnvironment?: Record<string, string>
  holdEnvironment?: Record<string, string>
  /** What else runs there, from before AppViews and hold. */
  beside?: (machine: Machine, folder: string) => Daemon
}

/** Addresses that nobody here has otherwise, and that count as public. */
export const addresses = {
  /** Of AppView and hold. */
  front: '11.77.0.1',
  /** Of what is around them. */
  around: '11.77.0.2',
  /** Whoever asks through {@link PublicNetwork}. */
  client: '11.77.0.9',
  otherClient: '11.77.1.10',
} as const

const secondsToStart = 120

/**
 * AppViews and a hold as their compose file configures them, each a process, on a {@link Machine} behind Caddy with the
 * committed `deploy/Caddyfile`: https at public names, no `test_mode`. The test process believes in these names and in the
 * CA too, by a proxy that it asks for everything that is not on loopback. One at a time in a process.
 */
export class PublicNetwork implements AsyncDisposable {
  readonly folder: string
  readonly machine: Machine
  readonly accounts: Accounts
  /** File of the CA of all certificates here, and a folder of it for Podman and its like. */
  readonly caFile: string
  readonly certificateFolder: string
  readonly caddy: Daemon
  readonly hold: Daemon
  readonly #appviews = new Map<string, Daemon>()
  readonly #options: PublicNetworkOptions
  readonly #stack: AsyncDisposableStack

  static async start(options: PublicNetworkOptions): Promise<PublicNetwork> {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'atcr-public-'))
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const { appviews = ['127.0.0.1'] } = options
    const machine = stack.use(
      await Machine.start(folder, [
        { address: addresses.front, names: [worldNames.appview, worldNames.hold] },
        { address: addresses.around, names: [worldNames.pds, worldNames.plc, worldNames.jetstream] },
        { address: addresses.client },
        { address: addresses.otherClient },
        ...appviews.map((address, index) => ({
          address,
          names: [appviews.length === 1 ? 'appview' : `appview-${index + 1}`],
        })),
        { address: '127.0.0.1', names: ['hold'] },
      ]),
    )
    const { services } = readCompose(options.compose)
    // Who the captain is does not concern Caddy, and is not known yet.
    const caddySettings = environmentOf(services['caddy'], valuesOf(''))
    if (options.beside !== undefined) stack.use(options.beside(machine, folder))
    const caFile = join(folder, 'certificates/ca.crt')
    await mkdir(join(folder, 'certificates'))
    const caddy = stack.use(await startCaddy(machine, folder, caddySettings))
    const root = join(folder, 'caddy/caddy/pki/authorities/local/root.crt')
    const certificates = readFileSync(root, 'utf8')
    await writeFile(caFile, certificates)
    const authorities = tls.getCACertificates('default')
    tls.setDefaultCACertificates([...authorities, certificates])
    stack.defer(() => tls.setDefaultCACertificates(authorities))
    const doorSocket = join(folder, 'door')
    const { world, accounts } = await startWorld(machine, { folder, caFile, doorSocket })
    stack.defer(async () => {
      const gone = once(world, 'exit')
      world.stdin?.end()
      await gone
    })
    await useDoor(doorSocket, stack)
    const values = valuesOf(accounts.alice.did)
    const hold = stack.use(
      machine.daemon(process.execPath, ['src/hold/main.ts', 'serve'], {
        logFile: join(folder, 'hold.log'),
        env: programEnvironment(caFile, {
          ...environmentOf(services['hold'], values),
          ...directories('HOLD_DATABASE_'),
          HOLD_DATABASE_HANDLE_RESOLVER_URL: `https://${worldNames.pds}`,
          HOLD_DATABASE_PATH: join(folder, 'hold/hold.db'),
          // A disk, whatever the file has.
          HOLD_STORAGE_DRIVER: 'filesystem',
          HOLD_STORAGE_BUCKET: '',
          HOLD_SERVER_ADDR: '127.0.0.1:8080',
          HOLD_SERVER_RELAY_ENDPOINT: 'none',
          HOLD_SERVER_TRUSTED_PROXIES: '127.0.0.1',
          ...options.holdEnvironment,
        }),
      }),
    )
    await hold.untilReady(() => isHealthy(`https://${worldNames.hold}/xrpc/_health`), secondsToStart)
    const network = new PublicNetwork(
      { folder, machine, accounts, caFile, caddy, hold, options },
      stack.move(),
    )
    for (const address of appviews) await network.startAppView(address)
    return network
  }

  private constructor(
    parts: Pick<PublicNetwork, 'folder' | 'machine' | 'accounts' | 'caFile' | 'caddy' | 'hold'> & {
      options: PublicNetworkOptions
    },
    stack: AsyncDisposableStack,
  ) {
    this.folder = parts.folder
    this.machine = parts.machine
    this.accounts = parts.accounts
    this.caFile = parts.caFile
    this.certificateFolder = join(parts.folder, 'certificates')
    this.caddy = parts.caddy
    this.hold = parts.hold
    this.#options = parts.options
    this.#stack = stack
  }

  appview(address = '127.0.0.1'): Daemon {
    const found = this.#appviews.get(address)
    if (found === undefined) throw new Error(`no AppView at ${address}`)
    return found
  }

  logOf(name: 'hold' | 'caddy' | `appview-${string}`): string {
    return readFileSync(join(this.folder, `${name}.log`), 'utf8')
  }

  /** Starts the AppView of that address, anew when it has ended; one folder of keys for all, as the compose file has it. */
  async startAppView(address: string): Promise<void> {
    const { compose, appviewEnvironment = {} } = this.#options
    const daemon = this.machine.daemon(process.execPath, ['src/appview/main.ts', 'serve'], {
      logFile: join(this.folder, `appview-${address}.log`),
      env: programEnvironment(this.caFile, {
        ...environmentOf(appviewService(compose), valuesOf(this.accounts.alice.did)),
        ...directories('ATCR_IDENTITY_'),
        ATCR_IDENTITY_HANDLE_RESOLVER_URL: `https://${worldNames.pds}`,
        ATCR_JETSTREAM_URLS: `wss://${worldNames.jetstream}`,
        ATCR_JETSTREAM_BACKFILL_ENABLED: 'false',
        ATCR_SERVER_DATA_FOLDER: join(this.folder, 'appview'),
        ATCR_SERVER_ADDR: `${address}:5000`,
        ATCR_SERVER_TRUSTED_PROXIES: '127.0.0.1',
        ...appviewEnvironment,
      }),
    })
    this.#stack.use(daemon)
    this.#appviews.set(address, daemon)
    const [command, args] = this.machine.inside('curl', ['-sf', `http://${address}:5000/health`])
    await daemon.untilReady(async () => {
      const [code] = (await once(spawn(command, args, { stdio: 'ignore' }), 'exit')) as [number]
      return code === 0
    }, secondsToStart)
  }

  /** Gives Caddy other sites in the place of AppView and hold, or the committed file again, without a stop. */
  reloadCaddy(sites?: string): Promise<void> {
    const own = sites === undefined ? committedSites : `{\n\t${ownCa}}\n${sites}`
    return this.#loadIntoCaddy(own, around)
  }

  /** Leaves AppView and hold to another proxy. */
  async freeFront(): Promise<void> {
    // Caddy cannot take one address of a port of which it has all.
    await this.#loadIntoCaddy(`{\n\t${ownCa}}\n`)
    await this.#loadIntoCaddy(`{\n\t${ownCa}\n\tdefault_bind ${addresses.around}\n}\n`, around)
  }

  async #loadIntoCaddy(...parts: string[]): Promise<void> {
    const file = await writeCaddyfile(this.folder, ...parts)
    const args = ['reload', '--adapter', 'caddyfile', '--config', file]
    const [command, insideArgs] = this.machine.inside('caddy', args)
    const settings = environmentOf(readCompose(this.#options.compose).services['caddy'], valuesOf(''))
    const env = caddyEnvironment(this.folder, settings)
    const child = spawn(command, insideArgs, { stdio: ['ignore', 'ignore', 'pipe'], env })
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number]
    if (code !== 0) throw new Error(`caddy reload ended with ${code}\n${said}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

function appviewService(compose: string): ComposeService | undefined {
  return Object.values(readCompose(compose).services).find(({ image }) => image?.startsWith('atcr-appview:'))
}

/** What an operator writes into `.env`; the rest as the template has it. */
function valuesOf(captain: string): Record<string, string> {
  return {
    ...readEnvTemplate('deploy/.env.prod.template'),
    APPVIEW_DOMAIN: worldNames.appview,
    HOLD_DOMAIN: worldNames.hold,
    HOLD_OWNER: captain,
    POSTGRES_PASSWORD: 'secret',
    S3_BUCKET: 'blobs',
    HOLD_PUBLIC: 'true',
    HOLD_ALLOW_ALL_CREW: 'true',
  }
}

const directories = (prefix: string) => ({ [`${prefix}PLC_DIRECTORY_URL`]: `https://${worldNames.plc}` })

/** Nothing of this process's own settings reaches the programs. */
function programEnvironment(caFile: string, settings: Record<string, string>): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env
  return { PATH, HOME, NODE_EXTRA_CA_CERTS: caFile, ...bareEnvironment(settings) }
}

function caddyEnvironment(folder: string, settings: Record<string, string>): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env
  return {
    PATH,
    HOME,
    XDG_DATA_HOME: join(folder, 'caddy'),
    XDG_CONFIG_HOME: join(folder, 'caddy'),
    ...settings,
    // A CA of its own, which this machine is not told to believe in.
    CADDY_GLOBAL_OPTIONS: ownCa,
  }
}

const ownCa = 'local_certs\n\tskip_install_trust\n'
const committedSites = `import ${resolve('deploy/Caddyfile')}\n`
const around = (['pds', 'plc', 'jetstream'] as const)
  .map((name) => `${worldNames[name]} {\n\treverse_proxy 127.0.0.1:${worldPorts[name]}\n}\n`)
  .join('')

async function writeCaddyfile(folder: string, ...parts: string[]): Promise<string> {
  const file = join(folder, 'Caddyfile')
  await writeFile(file, parts.join('\n'))
  return file
}

async function startCaddy(
  machine: Machine,
  folder: string,
  settings: Record<string, string>,
): Promise<Daemon> {
  const config = await writeCaddyfile(folder, committedSites, around)
  const args = ['run', '--adapter', 'caddyfile', '--config', config]
  const caddy = machine.daemon('caddy', args, {
    logFile: join(folder, 'caddy.log'),
    env: caddyEnvironment(folder, settings),
  })
  // Certificates of names are made a moment after the CA; who comes earlier comes again.
  const issued = join(folder, 'caddy/caddy/certificates/local', worldNames.plc, `${worldNames.plc}.crt`)
  await caddy.untilReady(async () => {
    try {
      return readFileSync(issued).length > 0
    } catch {
      return false
    }
  }, secondsToStart)
  return caddy
}

async function startWorld(
  machine: Machine,
  { folder, caFile, doorSocket }: { folder: string; caFile: string; doorSocket: string },
): Promise<{ world: ChildProcess; accounts: Accounts }> {
  const [command, args] = machine.inside(process.execPath, ['test/network/world.ts', folder, doorSocket, addresses.client]) // prettier-ignore
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: caFile }
  const world = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env })
  const [line] = (await Promise.race([
    once(createInterface(world.stdout), 'line'),
    once(world, 'exit').then(([code]) => Promise.reject(new Error(`the world ended with ${code}`))),
  ])) as [string]
  return { world, accounts: JSON.parse(line) as Accounts }
}

/** From now on this process asks the world behind the door for everything that is not on loopback. */
async function useDoor(doorSocket: string, stack: AsyncDisposableStack): Promise<void> {
  const server = net.createServer((client) => {
    const door = net.connect(doorSocket)
    client.pipe(door).pipe(client)
    client.on('error', () => door.destroy())
    door.on('error', () => client.destroy())
  })
  const listening = await listen(server as http.Server, { host: '127.0.0.1', port: 0, what: 'the door' })
  stack.defer(() => listening.stop())
  const proxy = `http://127.0.0.1:${listening.port}`
  const restore = http.setGlobalProxyFromEnv({ http_proxy: proxy, https_proxy: proxy, no_proxy: '127.0.0.1,localhost' }) // prettier-ignore
  stack.defer(restore)
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok
  } catch {
    await sleep(200)
    return false
  }
}
