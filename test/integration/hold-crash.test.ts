import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { S3StandIn } from '../network/s3.ts'
import { listen } from '../network/listening.ts'
import { digestOf, freePort, patterned, TestAccount, type Driver } from './test-hold.ts'

const mebibyte = 1024 * 1024
const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }

let folder: string
const child: { process?: ChildProcess } = {}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-crash-'))
})
afterEach(async () => {
  child.process?.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

/** Goal: what was answered 201 is durable, and nothing half-there shows. Method: kill -9 a real hold in mid-upload. */
test.each<Driver>(['filesystem', 's3'])('kill -9 between and within uploads to %s', async (driver) => {
  await using stack = new AsyncDisposableStack()
  const captain = new TestAccount('did:plc:captain', await Secp256k1Keypair.create())
  const plc = await listen(
    createServer((_, response) => response.end(JSON.stringify(captain.document))),
    { what: 'the directory', host: '127.0.0.1', port: 0 },
  )
  stack.defer(() => plc.stop())
  const s3 = driver === 's3' ? await startS3(stack) : undefined
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const start = () => startHold({ port, plcUrl: `http://127.0.0.1:${plc.port}`, captain, s3 })
  const client = new Client(url, `did:web:localhost%3A${port}`, captain)

  const acknowledged = new Map<string, number>()
  const attempted = new Set<string>()
  await start()
  for (const [round, killAfter] of [1, 5].entries()) {
    let answeredCount = 0
    const uploadForever = async (worker: number) => {
      for (let step = 0; ; step++) {
        const bytes = patterned([40, 700_000, 9 * mebibyte][(worker + step) % 3] as number, round * 64 + worker * 16 + step) // prettier-ignore
        const digest = digestOf(bytes)
        attempted.add(digest)
        if (!(await client.upload(bytes, digest, step % 2 === 0))) return
        acknowledged.set(digest, bytes.length)
        answeredCount += 1
        if (answeredCount === killAfter) child.process?.kill('SIGKILL')
      }
    }
    await Promise.all([0, 1, 2].map(uploadForever))
    expect(answeredCount).toBeGreaterThanOrEqual(killAfter)
    await stopped()

    await start()
    for (const digest of attempted) {
      const found = await client.download(digest)
      if (found !== undefined) expect(digestOf(found)).toBe(digest)
      else expect(acknowledged.has(digest), `${digest} was answered 201`).toBe(false)
    }
  }

  // The same push again succeeds, whatever was interrupted.
  for (const size of [40, 700_000, 9 * mebibyte]) {
    const bytes = patterned(size, 3)
    expect(await client.upload(bytes, digestOf(bytes), true)).toBe(true)
  }
  child.process?.kill('SIGTERM')
  await stopped()
  expect(child.process?.exitCode).toBe(0)
})

async function startS3(stack: AsyncDisposableStack): Promise<S3StandIn> {
  return stack.use(await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] }))
}

/** Starts the program as an operator would, and waits until it answers. */
async function startHold(options: {
  port: number
  plcUrl: string
  captain: TestAccount
  s3: S3StandIn | undefined
}): Promise<void> {
  const s3Settings =
    options.s3 === undefined
      ? {}
      : {
          HOLD_STORAGE_DRIVER: 's3',
          HOLD_STORAGE_ENDPOINT: options.s3.url,
          HOLD_STORAGE_BUCKET: 'blobs',
          HOLD_STORAGE_ACCESS_KEY: credentials.accessKey,
          HOLD_STORAGE_SECRET_KEY: credentials.secretKey,
        }
  const started = spawn(process.execPath, [join(import.meta.dirname, '../../src/hold/main.ts'), 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      HOLD_SERVER_ADDR: `127.0.0.1:${options.port}`,
      HOLD_SERVER_PUBLIC_URL: `http://localhost:${options.port}`,
      HOLD_SERVER_TEST_MODE: 'true',
      HOLD_REGISTRATION_OWNER_DID: options.captain.did,
      HOLD_DATABASE_PATH: join(folder, 'hold.db'),
      HOLD_DATABASE_PLC_DIRECTORY_URL: options.plcUrl,
      ...s3Settings,
    },
  })
  child.process = started
  for await (const line of started.stdout) {
    if (String(line).includes('hold is ready')) break
  }
  started.stdout.resume()
}

async function stopped(): Promise<void> {
  const { process } = child
  if (process !== undefined && process.exitCode === null && process.signalCode === null)
    await once(process, 'exit')
}

/** Uploads and downloads; whatever a dead hold does to a request is "no answer". */
class Client {
  readonly #url: string
  readonly #holdDid: string
  readonly #account: TestAccount

  constructor(url: string, holdDid: string, account: TestAccount) {
    this.#url = url
    this.#holdDid = holdDid
    this.#account = account
  }

  /** Whether the hold answered 201. */
  async upload(bytes: Uint8Array, digest: string, isOneRequest: boolean): Promise<boolean> {
    try {
      const begun = await this.#call('io.atcr.hold.initiateUpload', {}, { digest: 'uploads/x', direct: true })
      const { uploadUrl } = (await begun.json()) as { uploadUrl: string }
      const url = uploadUrl.replace('localhost', '127.0.0.1')
      const body = new Uint8Array(bytes)
      if (!isOneRequest) await fetch(url, { method: 'PATCH', body })
      const put = await fetch(`${url}?digest=${digest}`, { method: 'PUT', ...(isOneRequest ? { body } : {}) })
      return put.status === 201
    } catch {
      return false
    }
  }

  async download(digest: string): Promise<Buffer | undefined> {
    const answer = await this.#call('com.atproto.sync.getBlob', { did: this.#account.did, cid: digest })
    if (answer.status === 404) return undefined
    const { url } = (await answer.json()) as { url: string }
    const response = await fetch(url.replace('localhost', '127.0.0.1'))
    expect(response.status).toBe(200)
    return Buffer.from(await response.arrayBuffer())
  }

  async #call(lxm: string, params: Record<string, string>, input?: object): Promise<Response> {
    const token = await this.#account.token({ aud: this.#holdDid, lxm })
    return fetch(`${this.#url}/xrpc/${lxm}?${new URLSearchParams(params).toString()}`, {
      method: input === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(input === undefined ? {} : { body: JSON.stringify(input) }),
    })
  }
}
