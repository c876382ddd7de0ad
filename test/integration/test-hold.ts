import { createCipheriv, createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'

import type { Fetch } from '../../src/atproto/outbound-fetch.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { holdConfig, type HoldConfig } from '../../src/hold/config.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { Gates, type Faults } from '../network/faults.ts'
import { findFreePort } from '../network/listening.ts'
import { S3StandIn } from '../network/s3.ts'

export type Driver = 'filesystem' | 's3'

export interface TestHoldOptions {
  driver?: Driver
  isPublic?: boolean
  allowAllCrew?: boolean
  legacyLxm?: string[]
  /** Quota tiers, lowest rank first. */
  tiers?: { name: string; quota: string }[]
  appviewDid?: string
  /** Asked for DIDs that are none of the accounts'. */
  plcUrl?: string
  labelerDid?: string
  enableBlueskyPosts?: boolean
}

export interface CallAnswer {
  status: number
  body: Record<string, unknown>
  headers: Headers
}

/** An account that exists only as a key and a DID document, which is all a hold ever sees of one. */
export class TestAccount {
  readonly did: Did
  readonly #key: Secp256k1Keypair

  constructor(did: Did, key: Secp256k1Keypair) {
    this.did = did
    this.#key = key
  }

  get document() {
    const publicKeyMultibase = this.#key.did().slice('did:key:'.length)
    const method = { id: `${this.did}#atproto`, type: 'Multikey', controller: this.did, publicKeyMultibase }
    return { id: this.did, verificationMethod: [method] }
  }

  /** A service token as the account's PDS would mint it. */
  async token(claims: { aud: string; lxm: string } & Record<string, unknown>): Promise<string> {
    const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const now = Math.floor(Date.now() / 1000)
    const payload = { iss: this.did, iat: now, exp: now + 60, jti: crypto.randomUUID(), ...claims }
    const signed = `${encode({ typ: 'JWT', alg: 'ES256K' })}.${encode(payload)}`
    return `${signed}.${Buffer.from(await this.#key.sign(Buffer.from(signed))).toString('base64url')}`
  }
}

/** A hold on a real socket, with accounts that can call it. */
export class TestHold implements AsyncDisposable {
  readonly accounts: Record<'captain' | 'member' | 'stranger', TestAccount>
  readonly config: HoldConfig
  readonly folder: string
  readonly #documents: Map<string, unknown>
  readonly #s3: S3StandIn | undefined
  readonly #gates = new Gates()
  readonly #plcUrl: string | undefined
  #running: RunningHold | undefined
  #offsetMs = 0

  static async start(options: TestHoldOptions = {}): Promise<TestHold> {
    setLogLevel('silent')
    const folder = await mkdtemp(join(tmpdir(), 'atcr-hold-'))
    const accounts = {
      captain: new TestAccount('did:plc:captain', await Secp256k1Keypair.create()),
      member: new TestAccount('did:plc:member', await Secp256k1Keypair.create()),
      stranger: new TestAccount('did:plc:stranger', await Secp256k1Keypair.create()),
    }
    const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
    const s3 =
      options.driver === 's3'
        ? await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] })
        : undefined
    const port = await freePort()
    const config = holdConfig({
      server: {
        addr: `127.0.0.1:${port}`,
        public_url: `http://localhost:${port}`,
        public: options.isPublic ?? false,
        test_mode: true,
        appview_did: options.appviewDid,
        legacy_lxm: options.legacyLxm ?? [],
      },
      registration: {
        owner_did: accounts.captain.did,
        allow_all_crew: options.allowAllCrew ?? false,
        enable_bluesky_posts: options.enableBlueskyPosts ?? false,
      },
      database: { path: join(folder, 'hold.db') },
      quota: { tiers: options.tiers ?? [] },
      labeler: { did: options.labelerDid },
      ...(s3 === undefined
        ? {}
        : {
            storage: {
              driver: 's3',
              endpoint: s3.url,
              bucket: 'blobs',
              access_key: credentials.accessKey,
              secret_key: credentials.secretKey,
            },
          }),
    })
    const hold = new TestHold(folder, accounts, config, s3, options.plcUrl)
    await hold.restart()
    return hold
  }

  private constructor(
    folder: string,
    accounts: TestHold['accounts'],
    config: HoldConfig,
    s3: S3StandIn | undefined,
    plcUrl: string | undefined,
  ) {
    this.folder = folder
    this.accounts = accounts
    this.config = config
    this.#s3 = s3
    if (s3 !== undefined) this.#gates.install(s3.server, 's3')
    this.#plcUrl = plcUrl
    this.#documents = new Map(Object.values(accounts).map((account) => [account.did, account.document]))
  }

  get running(): RunningHold {
    if (this.#running === undefined) throw new Error('the hold does not run')
    return this.#running
  }

  /** 127.0.0.1, where `localhost` may also mean ::1. */
  get url(): string {
    return this.running.url.replace('localhost', '127.0.0.1')
  }

  /** What goes wrong in S3. */
  get faults(): Faults {
    return this.#gates.faults
  }

  advance(seconds: number): void {
    this.#offsetMs += seconds * 1000
  }

  /** Stops it, if it runs, and starts it again over the same folder. */
  async restart(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]()
    const lookUp: Fetch = async (input) => {
      const did = new Request(input).url.replace('https://plc.directory/', '')
      const document = this.#documents.get(did)
      if (document === undefined && this.#plcUrl !== undefined) return fetch(`${this.#plcUrl}/${did}`)
      return document === undefined ? new Response('{}', { status: 404 }) : Response.json(document)
    }
    const now = () => new Date(Date.now() + this.#offsetMs)
    this.#running = await startHold(this.config, { fetch: lookUp, now })
  }

  async stop(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]()
    this.#running = undefined
  }

  /** Calls a method: POST with an input, GET with parameters. */
  async call(
    nsid: string,
    options: {
      as?: TestAccount
      token?: string
      input?: unknown
      params?: Record<string, string | string[]>
    } = {},
  ): Promise<CallAnswer> {
    const { as, input, params } = options
    const aud = this.running.did
    const token = options.token ?? (await as?.token({ aud, lxm: nsid }))
    const url = new URL(`${this.url}/xrpc/${nsid}`)
    for (const [name, value] of Object.entries(params ?? {})) {
      for (const one of [value].flat()) url.searchParams.append(name, one)
    }
    const response = await fetch(url, {
      method: input === undefined ? 'GET' : 'POST',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(input === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(input === undefined ? {} : { body: JSON.stringify(input) }),
    })
    const body = (await response.json().catch(() => ({}))) as Record<string, unknown>
    return { status: response.status, body, headers: response.headers }
  }

  /** The bytes of a blob as a client gets them: by getBlob and the URL it answers. */
  async download(digest: string, as?: TestAccount): Promise<Buffer | undefined> {
    const params = { did: 'did:plc:someone', cid: digest }
    const { status, body } = await this.call('com.atproto.sync.getBlob', { params, ...(as && { as }) })
    if (status === 404) return undefined
    const response = await fetch(String(body['url']).replace('localhost', '127.0.0.1'))
    if (!response.ok) throw new Error(`download answered ${response.status}: ${await response.text()}`)
    return Buffer.from(await response.arrayBuffer())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]()
    await this.#s3?.[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}

export const digestOf = (bytes: Uint8Array, algorithm = 'sha256') =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`

/** Bytes that differ everywhere, so that a wrong order or a hole shows. */
export function patterned(size: number, seed: number): Buffer {
  const key = Buffer.alloc(16, seed % 256)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16, Math.floor(seed / 256) % 256)).update(
    Buffer.alloc(size),
  )
}

export function freePort(): Promise<number> {
  return findFreePort()
}
