import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { AtpAgent } from '@atproto/api'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { createAccount } from '../network/accounts.ts'
import { TestPds } from '../network/pds.ts'
import { PlcDirectory } from '../network/plc.ts'
import { useHoldProcesses } from './crash/process.ts'
import type { Caller } from './crash/push.ts'
import { GcStress, keyOf, recordOf, type Image, type Owner } from './gc-stress.ts'

/**
 * Goal: as in `hold-gc-stress.test.ts`, where the word on which manifests there are is that of a real PDS: the reference
 * PDS with a DID directory, whose records are really written and deleted, and which signs the tokens of its account.
 */

useHoldProcesses()

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-hold-gc-pds-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const collection = 'io.atcr.manifest'

/** An account at a reference PDS. What it did is noted in the order in which its PDS did it. */
class PdsOwner implements Owner, AsyncDisposable {
  readonly account: Caller
  readonly documents = {}
  readonly plcUrl: string
  readonly manifests = new Map<string, Image>()
  readonly #agent: AtpAgent
  readonly #stack: AsyncDisposableStack
  #queue: Promise<unknown> = Promise.resolve()

  static async start(folder: string): Promise<PdsOwner> {
    await using stack = new AsyncDisposableStack()
    const plc = stack.use(await PlcDirectory.start({ file: join(folder, 'plc/operations.json') }))
    const pds = stack.use(await TestPds.start({ folder: join(folder, 'pds'), plcUrl: plc.url }))
    const { handle, password } = await createAccount(pds.url, 'captain.test')
    const agent = new AtpAgent({ service: pds.url })
    await agent.login({ identifier: handle, password })
    return new PdsOwner(agent, plc.url, stack.move())
  }

  private constructor(agent: AtpAgent, plcUrl: string, stack: AsyncDisposableStack) {
    this.#agent = agent
    this.#stack = stack
    this.plcUrl = plcUrl
    this.account = {
      did: agent.assertDid,
      token: async (claims) => (await agent.com.atproto.server.getServiceAuth(claims)).data.token,
    }
  }

  put(holdDid: string, image: Image): Promise<string> {
    return this.#inTurn(async () => {
      const record = recordOf(holdDid, image)
      const rkey = keyOf(image)
      const { data } = await this.#agent.com.atproto.repo.putRecord({
        repo: this.account.did,
        collection,
        rkey,
        record,
      })
      expect(data.uri).toBe(`at://${this.account.did}/${collection}/${rkey}`)
      this.manifests.set(rkey, image)
      return rkey
    })
  }

  delete(key: string): Promise<Image | undefined> {
    return this.#inTurn(async () => {
      const image = this.manifests.get(key)
      await this.#agent.com.atproto.repo.deleteRecord({ repo: this.account.did, collection, rkey: key })
      this.manifests.delete(key)
      return image
    })
  }

  /** Record keys as the PDS has them. */
  async listKeys(): Promise<string[]> {
    const { data } = await this.#agent.com.atproto.repo.listRecords({ repo: this.account.did, collection, limit: 100 }) // prettier-ignore
    return data.records.map(({ uri }) => uri.slice(uri.lastIndexOf('/') + 1))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue
    await this.#stack.disposeAsync()
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(action)
    this.#queue = turn.catch(() => undefined)
    return turn
  }
}

test.each([
  { driver: 'filesystem', mode: 'relay', seed: 5 },
  { driver: 's3', mode: 'direct', seed: 6 },
] as const)('beside a real PDS, with kill -9: $mode, $driver', { timeout: 400_000 }, async (way) => {
  await using owner = await PdsOwner.start(folder)
  await using stress = await GcStress.prepare(folder, { ...way, roundCount: 8 }, owner)
  await stress.run()
  const keys = [...owner.manifests.keys()]
  expect(keys.length).toBeGreaterThan(0)
  expect((await owner.listKeys()).toSorted()).toEqual(keys.toSorted())
})
