import http from 'node:http'
import { join } from 'node:path'

import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { assert } from '../../src/lib/assert.ts'
import { systemNow, type Now } from '../../src/lib/clock.ts'
import { s3Bucket, s3Credentials, type Infrastructure } from './infrastructure.ts'
import { listen, type Listening } from './listening.ts'

/** Some settings of some sections. */
type Some<Settings> = { [Section in keyof Settings]?: Partial<Settings[Section]> }
export type AppViewSettings = Some<Parameters<typeof appViewConfig>[0]>
export type HoldSettings = Some<Parameters<typeof holdConfig>[0]>

interface Needs {
  infrastructure: Infrastructure
  folder: string
  bind: string | undefined
  uploadMode: 'auto' | 'direct' | 'relay'
  appview: AppViewSettings
  hold: HoldSettings
  now?: Now
  holdNow?: Now
  callsNow?: Now
}

/** AppView and hold of a network: how they are configured, started and stopped there. */
export class Programs implements AsyncDisposable {
  readonly #webDid: `did:web:${string}`
  readonly #needs: Needs
  #hold: RunningHold | undefined
  #holdDid: Did | undefined
  #appview: RunningAppView | undefined
  #loopbackDoor: Listening | undefined

  constructor(needs: Needs) {
    this.#needs = needs
    // The DID stays when the hold is bound elsewhere: atproto libraries refuse did:web of an IP address.
    this.#webDid = `did:web:localhost%3A${needs.infrastructure.ports.hold}`
  }

  /** Of the hold that runs, or ran last. */
  get holdDid(): Did {
    return this.#holdDid ?? this.#webDid
  }

  get hold(): RunningHold {
    assert(this.#hold !== undefined, 'the hold is not running')
    return this.#hold
  }

  get appview(): RunningAppView {
    assert(this.#appview !== undefined, 'the AppView is not running')
    return this.#appview
  }

  async startHold(): Promise<void> {
    const { infrastructure, folder, bind, hold, now = systemNow, holdNow = now } = this.#needs
    const { ports, plc, accounts, gates, jetstream } = infrastructure
    const settings = {
      server: {
        addr: listenAddress(bind, ports.hold),
        public_url: `http://${publicHost(bind) ?? 'localhost'}:${ports.hold}`,
        public: true,
        test_mode: true,
      },
      storage: this.#storage(),
      registration: { owner_did: accounts.alice.did, allow_all_crew: true },
      database: {
        path: join(folder, 'hold/hold.db'),
        did: this.#webDid,
        plc_directory_url: plc.url,
        handle_resolver_url: infrastructure.pds.url,
      },
    } as const
    this.#hold = await startHold(holdConfig(merge(settings, hold)), { now: holdNow })
    this.#holdDid = this.#hold.did
    gates.install(this.#hold.server.server, 'hold')
    if (publicHost(bind) !== undefined)
      this.#loopbackDoor = await openLoopbackDoor(this.#hold.server.server, ports.hold)
    jetstream.follow('hold', `http://localhost:${ports.hold}`)
  }

  async startAppView(): Promise<void> {
    const { infrastructure, folder, bind, uploadMode, appview, now = systemNow, callsNow = now } = this.#needs
    const { ports, plc, pds, gates, jetstream } = infrastructure
    const settings = {
      server: {
        addr: listenAddress(bind, ports.appview),
        base_url: `http://${publicHost(bind) ?? '127.0.0.1'}:${ports.appview}`,
        default_hold_did: this.holdDid,
        data_folder: join(folder, 'appview'),
        upload_mode: uploadMode,
        test_mode: true,
      },
      identity: { plc_directory_url: plc.url, handle_resolver_url: pds.url },
      jetstream: { urls: [jetstream.url], relay_endpoints: [] },
    }
    this.#appview = await startAppView(appViewConfig(merge(settings, appview)), { now, callsNow })
    gates.install(this.#appview.server, 'appview')
  }

  async stopHold(): Promise<void> {
    const hold = this.#hold
    this.#hold = undefined
    await this.#needs.infrastructure.jetstream.unfollow('hold')
    await this.#loopbackDoor?.stop()
    this.#loopbackDoor = undefined
    await hold?.[Symbol.asyncDispose]()
  }

  async stopAppView(): Promise<void> {
    const appview = this.#appview
    this.#appview = undefined
    await appview?.[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAppView()
    await this.stopHold()
  }

  #storage() {
    const { infrastructure, folder } = this.#needs
    const { s3 } = infrastructure
    if (s3 === undefined) return { driver: 'filesystem', path: join(folder, 'hold/blobs') } as const
    const { accessKey, secretKey, region } = s3Credentials
    return {
      driver: 's3',
      endpoint: s3.url,
      region,
      bucket: s3Bucket,
      access_key: accessKey,
      secret_key: secretKey,
    } as const
  }
}

function merge<Settings extends Record<string, object>>(
  ours: Settings,
  over: Partial<Record<string, unknown>>,
): Settings {
  const sections = Object.entries(over).map(([name, section]) =>
    typeof section === 'object' ? [name, { ...ours[name], ...section }] : [name, section],
  )
  return { ...ours, ...Object.fromEntries(sections) }
}

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address)

function listenAddress(bind: string | undefined, port: number): string {
  return `${bracketed(bind ?? '127.0.0.1')}:${port}`
}

/** The host in our addresses when it is not the usual one of loopback, which every interface includes. */
function publicHost(bind: string | undefined): string | undefined {
  const isUsual = bind === undefined || ['127.0.0.1', 'localhost', '0.0.0.0', '::'].includes(bind)
  return isUsual ? undefined : bracketed(bind)
}

/** A hold bound to one outer address is still looked for at `localhost`, where its DID points. */
function openLoopbackDoor(inner: http.Server, port: number): Promise<Listening> {
  const door = http.createServer((req, res) => inner.emit('request', req, res))
  door.on('upgrade', (req, socket, head) => inner.emit('upgrade', req, socket, head))
  return listen(door, { host: '127.0.0.1', port, what: 'the hold' })
}
