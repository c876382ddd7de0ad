import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { listen } from '../network/listening.ts'
import { useHoldProcesses } from './crash/process.ts'
import { GcStress, keyOf, recordOf, type Image, type Owner } from './gc-stress.ts'
import { TestAccount } from './test-hold.ts'

/**
 * Goal: garbage collection never takes what a manifest names, though pushes, deletions, mounts and uploads of what is
 * just being deleted go on meanwhile, and though the hold is killed with -9 in the middle of it; and in the end it takes
 * everything else. Method: rounds of chance, see `gc-stress.ts`, for each way of an upload with each kind of store. The
 * owner's PDS is played here, so that a round takes a second; beside a real one it is in `hold-gc-stress-pds.test.ts`.
 */

useHoldProcesses()

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-gc-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** An account whose manifests are in memory, as a PDS serves them. */
class PlayedOwner implements Owner, AsyncDisposable {
  readonly account: TestAccount
  readonly documents: Record<string, unknown>
  readonly manifests = new Map<string, Image>()
  readonly #records = new Map<string, object>()
  readonly #stop: () => Promise<void>

  static async start(): Promise<PlayedOwner> {
    const account = new TestAccount('did:plc:captain', await Secp256k1Keypair.create())
    const server = createServer()
    const pds = await listen(server, { what: 'the PDS', host: '127.0.0.1', port: 0 })
    const owner = new PlayedOwner(account, pds.port, () => pds.stop())
    server.on('request', (request: IncomingMessage, response) => {
      const { status, body } = owner.#answer(request)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
    return owner
  }

  private constructor(account: TestAccount, port: number, stop: () => Promise<void>) {
    const service = { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: `http://127.0.0.1:${port}` } // prettier-ignore
    this.account = account
    this.documents = { [account.did]: { ...account.document, service: [service] } }
    this.#stop = stop
  }

  async put(holdDid: string, image: Image): Promise<string> {
    const key = keyOf(image)
    this.manifests.set(key, image)
    this.#records.set(key, recordOf(holdDid, image))
    return key
  }

  async delete(key: string): Promise<Image | undefined> {
    const image = this.manifests.get(key)
    this.manifests.delete(key)
    this.#records.delete(key)
    return image
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop()
  }

  #answer(request: IncomingMessage): { status: number; body: object } {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://pds')
    const did = searchParams.get('did') ?? searchParams.get('repo') ?? ''
    const cid = 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'
    const uri = (rkey: string) => `at://${did}/io.atcr.manifest/${rkey}`
    if (pathname.endsWith('getRepoStatus')) return { status: 200, body: { did, active: true } }
    if (pathname.endsWith('listRecords')) {
      const records = [...this.#records].map(([rkey, value]) => ({ uri: uri(rkey), cid, value }))
      return { status: 200, body: { records } }
    }
    const rkey = searchParams.get('rkey') ?? ''
    const value = this.#records.get(rkey)
    if (value !== undefined) return { status: 200, body: { uri: uri(rkey), cid, value } }
    return { status: 400, body: { error: 'RecordNotFound', message: 'no such record' } }
  }
}

test.each([
  { driver: 'filesystem', mode: 'direct', seed: 1 },
  { driver: 's3', mode: 'relay', seed: 2 },
  { driver: 's3', mode: 'direct', seed: 3 },
  { driver: 'filesystem', mode: 'relay', seed: 4 },
] as const)('pushes, deletions, mounts and kill -9: $mode, $driver', { timeout: 400_000 }, async (way) => {
  await using owner = await PlayedOwner.start()
  await using stress = await GcStress.prepare(folder, { ...way, roundCount: 8 }, owner)
  await stress.run()
  expect(owner.manifests.size).toBeGreaterThan(0)
})
