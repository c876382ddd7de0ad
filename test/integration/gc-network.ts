import { expect } from 'vitest'

import type { GcProgress } from '../../src/hold/services/garbage-collection.ts'
import type { AccountName } from '../network/accounts.ts'
import type { SampleImage } from '../network/sample-image.ts'
import { TestNetwork, type NetworkOptions } from '../network/test-network.ts'
import { bytesOf, client } from './registry-clients.ts'

const hourMs = 3_600_000

/** A network whose time can be moved, with garbage collection at hand: ten hours of grace, run when a test says so. */
export class GcNetwork implements AsyncDisposable {
  readonly network: TestNetwork
  readonly #clock: { offsetMs: number }

  static async create(options: NetworkOptions = {}): Promise<GcNetwork> {
    const clock = { offsetMs: 0 }
    const network = await TestNetwork.create({
      ...options,
      hold: { ...options.hold, gc: { grace: '10h' } },
      holdNow: () => new Date(Date.now() + clock.offsetMs),
    })
    return new GcNetwork(network, clock)
  }

  private constructor(network: TestNetwork, clock: { offsetMs: number }) {
    this.network = network
    this.#clock = clock
  }

  /** Moves the hold's clock, for tests in which the AppView has no part. */
  move(hours: number): void {
    this.#clock.offsetMs += hours * hourMs
  }

  /** Moves the hold's clock. The AppView begins anew: what it remembers of the hold is older than it thinks. */
  async pass(hours: number): Promise<void> {
    this.move(hours)
    await this.network.restartAppView()
  }

  /** So long that the uploads of the last pushes are forgotten. */
  async passUploads(): Promise<void> {
    await this.pass(25)
    const { sweep } = this.network.hold.context.jobs
    sweep.kick()
    await sweep.idle()
  }

  /** One run to its end. */
  async collect(options = { isDryRun: false }): Promise<GcProgress> {
    const { gc } = this.network.hold.context
    expect(await gc.start(options)).toBe(true)
    const progress = await gc.idle()
    expect(progress).toMatchObject({ state: 'done', isDryRun: options.isDryRun })
    return progress
  }

  /** Runs, a grace period apart, until nothing changes any more would: for manifests, then for their blobs. */
  async collectAll(): Promise<number> {
    await this.passUploads()
    let deleted = 0
    for (let run = 0; run < 4; run++) {
      deleted += (await this.collect()).blobsDeleted
      this.move(11)
    }
    await this.pass(0)
    return deleted
  }

  async push(repository: string, image: SampleImage, tag: string, who: AccountName = 'alice'): Promise<void> {
    await client(this.network, who).pushImage(repository, image, tag)
    await this.network.settled()
  }

  /** Whether the whole image can be pulled. */
  async isPulled(repository: string, image: SampleImage): Promise<boolean> {
    const anyone = client(this.network)
    const manifest = await anyone.pullManifest(repository, image.digest)
    expect(Buffer.from(manifest.bytes).equals(image.bytes)).toBe(true)
    for (const { digest, sizeBytes } of image.blobs) {
      const got = await anyone.request('GET', `/v2/${repository}/blobs/${digest}`)
      if (got.status === 404) return false
      const bytes = await bytesOf(await anyone.pullBlob(repository, digest))
      expect(bytes.byteLength).toBe(sizeBytes)
    }
    return true
  }

  /** Digests that have a row, without asking for them, which would keep them. */
  async rows(): Promise<string[]> {
    const { database } = this.network.hold.context
    const rows = await database.selectFrom('blobs').select('digest').orderBy('digest').execute()
    return rows.map(({ digest }) => digest)
  }

  /** Everything the store has below its two prefixes. */
  async objects(): Promise<string[]> {
    const { store } = this.network.hold.context
    const keys: string[] = []
    for (const prefix of ['docker/registry/v2/blobs/', 'uploads/']) {
      for (let cursor: string | undefined; ;) {
        const page = await store.list(prefix, cursor)
        keys.push(...page.objects.map(({ key }) => key))
        cursor = page.cursor
        if (cursor === undefined) break
      }
    }
    return keys
  }

  /** Deletes a manifest record as its owner, behind the AppView's and the hold's back. */
  async deleteRecord(who: AccountName, image: SampleImage): Promise<void> {
    const token = await this.session(who)
    const input = {
      repo: this.network.accounts[who].did,
      collection: 'io.atcr.manifest',
      rkey: image.digest.split(':')[1],
    }
    await this.pds('com.atproto.repo.deleteRecord', input, token)
    await this.network.settled()
  }

  /** Tells the hold something as an account, or as nobody. */
  async notify(who: AccountName | undefined, notice: object): Promise<Record<string, unknown>> {
    const { pds, hold } = this.network
    const lxm = 'io.atcr.hold.notifyManifest'
    const headers: Record<string, string> = { 'content-type': 'application/json' }
    if (who !== undefined) {
      const query = new URLSearchParams({ aud: hold.did, lxm }).toString()
      const authorization = `Bearer ${await this.session(who)}`
      const answer = await fetch(`${pds.url}/xrpc/com.atproto.server.getServiceAuth?${query}`, { headers: { authorization } }) // prettier-ignore
      headers['authorization'] = `Bearer ${((await answer.json()) as { token: string }).token}`
    }
    const body = JSON.stringify(notice)
    const response = await fetch(`${hold.url}/xrpc/${lxm}`, { method: 'POST', headers, body })
    return (await response.json()) as Record<string, unknown>
  }

  async session(who: AccountName): Promise<string> {
    const { handle, password } = this.network.accounts[who]
    const answer = await this.pds('com.atproto.server.createSession', { identifier: handle, password })
    return String(answer['accessJwt'])
  }

  async pds(method: string, input: object | undefined, token?: string): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.network.pds.url}/xrpc/${method}`, {
      method: 'POST',
      headers: {
        ...(input === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(input === undefined ? {} : { body: JSON.stringify(input) }),
    })
    const text = await response.text()
    expect([method, response.status, text]).toEqual([method, 200, text])
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]()
  }
}
