import { join } from 'node:path'

import { expect } from 'vitest'

import { S3StandIn } from '../network/s3.ts'
import { HoldProcess } from './crash/process.ts'
import {
  call,
  download,
  manifestOf,
  pushDirect,
  pushRelayed,
  type Caller,
  type Target,
} from './crash/push.ts'
import { digestOf, freePort, patterned, type Driver } from './test-hold.ts'

const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
const roundHours = 9
/** What a run that proves something has seen. */
const deathsMin = 3
const blobCount = 40
/** Manifests beyond these are deleted, the oldest first. */
const manifestsKept = 4
/** Runs in the end, enough for all that nothing names to be found, condemned and deleted. */
const lastRunCount = 7
const lastRunHours = 13

export interface Image {
  layer: Buffer
  config: Buffer
}

/** The captain's account, and the PDS that keeps its manifests. */
export interface Owner {
  readonly account: Caller
  /** Answers of a DID directory, by DID; those of others are asked for over the network. */
  readonly documents: Record<string, unknown>
  readonly plcUrl?: string
  /** In the order in which they were put, by record key. As true at any moment as its PDS is. */
  readonly manifests: ReadonlyMap<string, Image>
  put(holdDid: string, image: Image): Promise<string>
  /** Resolves to what was deleted; undefined when another deletion of the same manifest came first. */
  delete(key: string): Promise<Image | undefined>
}

/** Record key of the image's manifest. */
export const keyOf = (image: Image): string =>
  digestOf(Buffer.from(JSON.stringify(manifestOf(image)))).slice('sha256:'.length)

/** The record of an image's manifest, as an AppView writes it. */
export function recordOf(holdDid: string, image: Image) {
  return {
    $type: 'io.atcr.manifest',
    repository: 'app',
    digest: `sha256:${keyOf(image)}`,
    holdDid,
    createdAt: '2026-01-01T00:00:00Z',
    ...manifestOf(image),
  }
}

/** How one run differs from another. */
export interface Way {
  driver: Driver
  mode: 'direct' | 'relay'
  seed: number
  /** At least so many; more, when the hold did not die often enough in them, or nothing fell out of use. */
  roundCount: number
}

/**
 * Rounds of chance (from a seed) over one data folder, less than a grace period apart: pushes, deletions, mounts and
 * uploads of what is just being deleted, while garbage collection runs and the hold dies at a point of it that an
 * earlier round has passed.
 */
export class GcStress implements AsyncDisposable {
  readonly #way: Way
  readonly #owner: Owner
  readonly #target: Target
  readonly #options: Parameters<HoldProcess['open']>[0]
  readonly #stack: AsyncDisposableStack
  readonly #random: () => number
  readonly #pool = Array.from({ length: blobCount }, (_, index) => patterned(2000 + index, index))
  readonly #untold = new Set<string>()
  #next: HoldProcess
  #round = 0

  static async prepare(folder: string, way: Way, owner: Owner): Promise<GcStress> {
    await using stack = new AsyncDisposableStack()
    const port = await freePort()
    const s3 =
      way.driver === 's3'
        ? stack.use(await S3StandIn.start({ folder: join(folder, 's3'), credentials, buckets: ['blobs'] }))
        : undefined
    const settings = {
      server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, public: true, test_mode: true }, // prettier-ignore
      registration: { owner_did: owner.account.did },
      database: { path: join(folder, 'data-of-the-test/hold.db'), plc_directory_url: owner.plcUrl },
      gc: { grace: '10h' },
      ...(s3 === undefined ? {} : { storage: { driver: 's3' as const, endpoint: s3.url, bucket: 'blobs', access_key: credentials.accessKey, secret_key: credentials.secretKey } }), // prettier-ignore
    }
    const target = { url: `http://127.0.0.1:${port}`, did: `did:web:localhost%3A${port}`, account: owner.account, mode: way.mode, cutAt: 0 } // prettier-ignore
    const options = { settings, documents: owner.documents, hoursLater: 0 }
    return new GcStress({ way, owner, target, options }, stack.move())
  }

  private constructor(
    of: { way: Way; owner: Owner; target: Target; options: Parameters<HoldProcess['open']>[0] },
    stack: AsyncDisposableStack,
  ) {
    this.#way = of.way
    this.#owner = of.owner
    this.#target = of.target
    this.#options = of.options
    this.#stack = stack
    this.#random = mulberry32(of.way.seed)
    this.#next = this.#spawn()
  }

  /** All of it; rejects when a blob that a manifest names is not there or another, or when something else is left. */
  async run(): Promise<void> {
    const { deaths, deleted } = await this.#runRounds()
    expect(deaths).toBeGreaterThanOrEqual(deathsMin)
    expect(deleted).toBeGreaterThan(0)
    await this.#runLast()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }

  async #runRounds(): Promise<{ deaths: number; deleted: number }> {
    const { roundCount } = this.#way
    // A point as often as it was passed: what happens in every round is most likely to happen again.
    const points: string[] = []
    const result = { deaths: 0, deleted: 0 }
    const isEnough = () => this.#round >= roundCount && result.deaths >= deathsMin && result.deleted > 0
    for (; !isEnough() && this.#round < 3 * roundCount; this.#round++) {
      const hold = this.#next
      // Loaded while this one works.
      this.#next = this.#spawn()
      await hold.open({ ...this.#options, hoursLater: this.#round * roundHours })
      await hold.arm(this.#round % 3 === 0 ? undefined : this.#pick(points))
      const run = hold.collect().catch(() => undefined)
      await Promise.all([this.#act(6), this.#act(6), run])
      result.deleted += (await run)?.blobsDeleted ?? 0
      const passed = hold.hasEnded ? undefined : await hold.listPoints().catch(() => undefined)
      if (passed === undefined) result.deaths += 1
      points.push(...(passed ?? []).filter(isOfCollection))
      await hold.kill()
    }
    return result
  }

  /** Now nothing more happens, and in the end nothing else is left. */
  async #runLast(): Promise<void> {
    const hoursLater = this.#round * roundHours
    const hold = this.#next
    await hold.open({ ...this.#options, hoursLater })
    await this.#tellAll()
    await this.#expectWhole()
    for (let run = 0; run < lastRunCount; run++) {
      await hold.move(hoursLater + run * lastRunHours)
      await hold.inspect()
      await hold.collect()
    }
    await this.#expectNothingElse(hold)
    await hold.kill()
  }

  async #expectWhole(): Promise<void> {
    for (const image of this.#owner.manifests.values()) {
      for (const bytes of [image.layer, image.config]) {
        const found = await download(this.#target, digestOf(bytes))
        expect(found?.equals(bytes), `${digestOf(bytes)} of a manifest that exists`).toBe(true)
      }
    }
  }

  async #expectNothingElse(hold: HoldProcess): Promise<void> {
    await this.#expectWhole()
    expect(await hold.inspect()).toMatchObject({ rotten: [], orphans: [], layersApart: [] })
    const images = [...this.#owner.manifests.values()]
    const live = new Set(images.flatMap(({ layer, config }) => [digestOf(layer), digestOf(config)]))
    for (const bytes of this.#pool) {
      const digest = digestOf(bytes)
      const isThere = (await download(this.#target, digest)) !== undefined
      expect([digest, isThere]).toEqual([digest, live.has(digest)])
    }
  }

  /** Until the hold is gone, or `count` actions are done; a refusal is thrown. */
  async #act(count: number): Promise<void> {
    try {
      for (let done = 0; done < count; done++) {
        if (this.#random() < 0.45) await this.#push()
        else if (this.#random() < 0.75) await this.#remove()
        else await this.#tellAll()
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
    }
  }

  /** As registry clients do: ask, send what is not there, commit the manifest; the AppView tells of it later. */
  async #push(): Promise<void> {
    const { url, account } = this.#target
    const send = this.#way.mode === 'direct' ? pushDirect : pushRelayed
    const image = { layer: this.#pickBlob(), config: this.#pickBlob() }
    for (const bytes of [image.layer, image.config]) {
      const query = new URLSearchParams({ did: account.did, cid: digestOf(bytes), method: 'HEAD' })
      const found = await fetch(`${url}/xrpc/com.atproto.sync.getBlob?${query.toString()}`)
      await found.body?.cancel()
      if (found.status === 404) await send(this.#target, [bytes], digestOf(bytes))
    }
    this.#untold.add(await this.#owner.put(this.#target.did, image))
  }

  async #remove(): Promise<void> {
    const [key] = this.#owner.manifests.keys()
    if (key === undefined || this.#owner.manifests.size <= manifestsKept) return
    const image = await this.#owner.delete(key)
    this.#untold.delete(key)
    // The other half is found by looking.
    if (image !== undefined && this.#random() < 0.5) await this.#tell('delete', key, image)
  }

  async #tellAll(): Promise<void> {
    for (const key of this.#untold) {
      const image = this.#owner.manifests.get(key)
      if (image !== undefined) await this.#tell('push', key, image)
      this.#untold.delete(key)
    }
  }

  #tell(operation: string, key: string, image: Image): Promise<unknown> {
    return call(this.#target, 'io.atcr.hold.notifyManifest', {
      operation,
      repository: 'app',
      userDid: this.#target.account.did,
      manifestDigest: `sha256:${key}`,
      manifest: manifestOf(image),
    })
  }

  #spawn(): HoldProcess {
    const hold = new HoldProcess()
    this.#stack.defer(() => hold.kill())
    return hold
  }

  /** What is in fashion changes, so that blobs fall out of use; and now and then an old one comes back. */
  #pickBlob(): Buffer {
    if (this.#random() < 0.2) return this.#pick(this.#pool)
    return this.#pool[(this.#round * 4 + Math.floor(this.#random() * 6)) % blobCount] as Buffer
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T
  }
}

/** What garbage collection does, among all that happens meanwhile. */
function isOfCollection(point: string): boolean {
  return /gc_|from "?blobs|update "?blobs|"?layers|unlink|rmdir|DELETE|blob_uploaders/i.test(point)
}

/** Numbers from 0 to 1 that are the same for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }
}
