import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { formatAtUri, type Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { KeyedLocks } from '../../lib/keyed-locks.ts'
import { Slots } from '../../lib/slots.ts'
import { layerCollection } from '../../protocol/lexicon/layer-record.ts'
import { digestOfBytes, type Digest } from '../../protocol/oci/digest.ts'
import { sumKeptBytes, sumReservedBytes } from '../db/reservations.ts'
import { holdMigrations, type HoldTables } from '../db/schema.ts'
import { HoldError } from '../errors.ts'
import { HoldRepo } from '../pds/repo.ts'
import { FilesystemBlobStore } from '../storage/filesystem-blob-store.ts'
import { UrlSigner } from '../storage/url-signer.ts'
import { Blobs } from './blobs.ts'
import { DirectUploads } from './direct-uploads.ts'
import { Layers, manifestUriOf } from './layers.ts'
import { Reservations } from './reservations.ts'
import { RunningHashes } from './running-hashes.ts'
import { Uploads } from './uploads.ts'

const lost = 'the answer was lost'
const signingKey = await Secp256k1Keypair.create()
const holdDid: Did = 'did:web:hold.example'
const users: readonly Did[] = ['did:plc:alice', 'did:plc:bob', 'did:plc:carol']
/** The last has none. */
const limits: readonly (number | undefined)[] = [1000, 1500, undefined]
const blobs = [100, 200, 300, 400, 500, 600].map((size, seed) => Buffer.alloc(size, seed + 1))
const manifests = [0, 1, 2, 3]

const digestOf = (blob: number) => digestOfBytes(blobs[blob] as Buffer, 'sha256')
const notice = (user: number, manifest: number) => ({
  ownerDid: users[user] as Did,
  repository: 'app',
  digest: digestOfBytes(Buffer.from(`manifest ${manifest}`), 'sha256'),
})
/** What a manifest names: the same whoever pushes it, however often. */
const named = (manifest: number) => blobs.map((_, blob) => blob).filter((blob) => (blob + manifest) % 3 !== 0).slice(0, 2 + (manifest % 2)) // prettier-ignore

type Action =
  | { kind: 'push'; user: number; manifest: number; isAnnounced: boolean; isSizeKnown: boolean }
  | { kind: 'push, its answer lost'; user: number; manifest: number }
  | { kind: 'delete'; user: number; manifest: number }
  | { kind: 'upload given up'; user: number; blob: number }
  | { kind: 'upload left lying'; user: number; blob: number }
  | { kind: 'upload broken off'; user: number; blob: number }

const user = fc.nat(users.length - 1)
const manifest = fc.constantFrom(...manifests)
const blob = fc.nat(blobs.length - 1)
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('push' as const), user, manifest, isAnnounced: fc.boolean(), isSizeKnown: fc.boolean() }) }, // prettier-ignore
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('push, its answer lost' as const), user, manifest }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete' as const), user, manifest }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('upload given up' as const), user, blob }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('upload left lying' as const), user, blob }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('upload broken off' as const), user, blob }) },
)
/** What happens at once; after each round the hold may be started anew. */
const rounds = fc.array(
  fc.record({
    actions: fc.array(action, { minLength: 1, maxLength: 6 }),
    ending: fc.constantFrom('stay', 'restart'),
  }),
  { minLength: 1, maxLength: 5 },
)

/** The services of a hold, over a database and a disk that outlive them. */
class Services {
  readonly layers: Layers
  readonly #uploads: Uploads
  readonly #direct: DirectUploads
  readonly #repo: HoldRepo
  isAnswerLost = false

  readonly database: Database<HoldTables>

  constructor(
    database: Database<HoldTables>,
    repo: HoldRepo,
    store: FilesystemBlobStore,
    scheduler: fc.Scheduler,
    now: () => Date,
  ) {
    this.database = database
    this.#repo = repo
    const findAllowance = async (did: Did) => ({ limitBytes: limits[users.indexOf(did)], tier: 'some' })
    const reservations = new Reservations({
      database,
      quotas: { findAllowance },
      users: new KeyedLocks(),
      now,
    })
    const moderation = { isHidden: async () => false }
    const blobs = new Blobs({ database, store, moderation, now })
    // Where requests take turns: at the disk, and at the data repo.
    const turn = () => scheduler.schedule(Promise.resolve())
    store.put = async (...call) => {
      await turn()
      return FilesystemBlobStore.prototype.put.apply(store, call)
    }
    const applyWrites: HoldRepo['applyWrites'] = async (...call) => {
      await turn()
      const answer = await repo.applyWrites(...call)
      await turn()
      if (this.isAnswerLost) throw new Error(lost)
      return answer
    }
    const ofRepo = {
      applyWrites,
      findRecord: repo.findRecord.bind(repo),
      listRecords: repo.listRecords.bind(repo),
    }
    this.layers = new Layers({ database, repo: ofRepo, blobs, reservations, now })
    const onUnsettled = () => undefined
    this.#uploads = new Uploads({ database, store, blobs, reservations, now, onUnsettled })
    const [hashes, slots] = [new RunningHashes(), new Slots(2)]
    const access = { check: async () => undefined }
    this.#direct = new DirectUploads({ database, access, uploads: this.#uploads, reservations, blobs, store, hashes, slots }) // prettier-ignore
  }

  async run(action: Action): Promise<void> {
    try {
      await this.#run(action)
    } catch (error) {
      if (error instanceof HoldError && error.code === 'quota_exceeded') return
      if (error instanceof Error && error.message === lost) return
      throw error
    }
  }

  expire(): Promise<number> {
    return this.#uploads.expire()
  }

  async remove(user: number, manifest: number): Promise<void> {
    const uri = manifestUriOf(notice(user, manifest))
    await this.layers.locks.run(uri, () => this.layers.removeManifests([uri]))
  }

  async push(user: number, manifest: number): Promise<void> {
    const layers = named(manifest).map((blob) => ({ digest: digestOf(blob), mediaType: 'x/y' }))
    await this.layers.recordPush(notice(user, manifest), { layers })
  }

  async #run(action: Action): Promise<void> {
    const { user } = action
    switch (action.kind) {
      case 'push': {
        const { isAnnounced, isSizeKnown } = action
        for (const blob of named(action.manifest))
          await this.#upload(user, blob, { isAnnounced, isSizeKnown })
        return this.push(user, action.manifest)
      }
      case 'push, its answer lost':
        for (const blob of named(action.manifest)) {
          await this.#upload(user, blob, { isAnnounced: false, isSizeKnown: false })
        }
        this.isAnswerLost = true
        try {
          await this.push(user, action.manifest)
        } finally {
          this.isAnswerLost = false
        }
        return
      case 'delete':
        // Until it is answered, as garbage collection does.
        while (!(await this.remove(user, action.manifest).then(() => true, onceMoreIfLost)));
        return
      case 'upload given up':
      case 'upload left lying':
      case 'upload broken off': {
        const { id } = await this.#begin(user, undefined, undefined)
        const half = (blobs[action.blob] as Buffer).subarray(0, 50 * (action.blob + 1))
        const wasCut = action.kind === 'upload broken off'
        await this.#direct.append(id, bodyOf(half, { wasCut, isSizeKnown: false }), undefined)
        if (action.kind === 'upload given up') await this.#direct.cancel(id)
      }
    }
  }

  async #upload(
    user: number,
    blob: number,
    how: { isAnnounced: boolean; isSizeKnown: boolean },
  ): Promise<void> {
    const bytes = blobs[blob] as Buffer
    const digest = digestOf(blob)
    const announced = how.isAnnounced ? digest : undefined
    const { id } = await this.#begin(user, announced, how.isSizeKnown ? bytes.length : undefined)
    const body = bodyOf(bytes, { wasCut: false, isSizeKnown: how.isSizeKnown })
    await this.#direct.finish(id, digest, { body, range: undefined })
  }

  #begin(user: number, digest: Digest | undefined, sizeBytes: number | undefined): Promise<{ id: string }> {
    return this.#uploads.begin({ userDid: users[user] as Did, mode: 'direct', digest, sizeBytes })
  }

  /** Digest → size of what the layer records say of somebody. */
  async recorded(user: number): Promise<Map<unknown, number>> {
    const { records } = await this.#repo.listRecords(layerCollection, { limit: 1000 })
    const theirs = records.filter(({ value }) => value['userDid'] === users[user])
    return new Map(theirs.map(({ value }) => [value['digest'], Number(value['size'])]))
  }
}

/** Goes on for a lost answer only. */
function onceMoreIfLost(error: unknown): false {
  if (error instanceof Error && error.message === lost) return false
  throw error
}

function bodyOf(bytes: Buffer, { wasCut, isSizeKnown }: { wasCut: boolean; isSizeKnown: boolean }) {
  return {
    wasCut,
    lengthBytes: isSizeKnown ? bytes.length : undefined,
    async *[Symbol.asyncIterator]() {
      yield bytes.subarray(0, 60)
      await Promise.resolve()
      yield bytes.subarray(60)
    },
  }
}

async function totalsOf(database: Database<HoldTables>, user: number) {
  const row = await database.selectFrom('user_usage').selectAll().where('user_did', '=', users[user] as Did).executeTakeFirst() // prettier-ignore
  return { blobs: row?.blob_count ?? 0, sizeBytes: row?.size_bytes ?? 0 }
}

async function checkTotals(services: Services): Promise<void> {
  const { database } = services
  for (const [user, did] of users.entries()) {
    const recorded = await services.recorded(user)
    const sizeBytes = [...recorded.values()].reduce((sum, size) => sum + size, 0)
    const totals = await totalsOf(database, user)
    expect(totals).toEqual({ blobs: recorded.size, sizeBytes })
    const kept = await sumKeptBytes(database, did)
    const reserved = await sumReservedBytes(database, did, [])
    expect(totals.sizeBytes + kept + reserved).toBeLessThanOrEqual(limits[user] ?? Infinity)
  }
}

test('however pushes, deletions, retries and restarts interleave, totals are those of the layer records', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-quotas-'))
  let run = 0
  const property = fc.asyncProperty(rounds, fc.scheduler(), async (rounds, scheduler) => {
    run += 1
    let nowMs = Date.parse('2026-03-01T00:00:00Z')
    const now = () => new Date(nowMs)
    const signer = new UrlSigner({ baseUrl: 'http://hold.example', key: Buffer.from('key'), now })
    const store = await FilesystemBlobStore.open({ folder: join(folder, `${run}`), signer })
    await using database = await openDatabase<HoldTables>({ path: ':memory:' }, holdMigrations)
    const openRepo = () => HoldRepo.open({ database, did: holdDid, signingKey, now })
    const start = async () => new Services(database, await openRepo(), store, scheduler, now)
    let services = await start()
    for (const { actions, ending } of rounds) {
      await scheduler.waitFor(Promise.all(actions.map((action) => services.run(action))))
      if (ending === 'restart') services = await start()
      // What was noted and not answered is told again, as the AppView does.
      for (const [user] of users.entries()) {
        for (const manifest of manifests) {
          if (await isHalfWritten(database, user, manifest))
            await scheduler.waitFor(services.push(user, manifest))
        }
      }
      await checkTotals(services)
    }
    // Abandoned uploads expire, and everything is deleted: nothing is left on anybody's account.
    nowMs += 25 * 3_600_000
    await services.expire()
    for (const [user] of users.entries()) {
      for (const manifest of manifests) await scheduler.waitFor(services.remove(user, manifest))
    }
    await checkTotals(services)
    for (const [user, did] of users.entries()) {
      expect(await totalsOf(database, user)).toEqual({ blobs: 0, sizeBytes: 0 })
      expect(await sumReservedBytes(database, did, [])).toBe(0)
    }
    const before = await database.selectFrom('charges').selectAll().execute()
    expect(before).toEqual([])
  })
  await fc.assert(property, { numRuns: 40 })
  await rm(folder, { recursive: true })
}, 120_000)

async function isHalfWritten(
  database: Database<HoldTables>,
  user: number,
  manifest: number,
): Promise<boolean> {
  const { ownerDid, digest } = notice(user, manifest)
  const uri = formatAtUri(ownerDid, 'io.atcr.manifest', digest.slice('sha256:'.length))
  const row = await database
    .selectFrom('layers')
    .select('rkey')
    .where('manifest_uri', '=', uri)
    .where('is_written', '=', 0)
    .executeTakeFirst()
  return row !== undefined
}
