import { beforeEach, describe, expect, test, vi } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { manifestRkey } from '../../protocol/lexicon/manifest-record.ts'
import { digestOfBytes, type Digest } from '../../protocol/oci/digest.ts'
import { parseReference, parseTag } from '../../protocol/oci/reference.ts'
import { PdsManifestsTwin } from '../../../test/twins/pds-manifests.ts'
import { listDueHoldNotifications } from '../db/hold-notifications.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables, RepositoryKey } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import { ManifestLookup } from './manifest-lookup.ts'
import { ManifestStore } from './manifest-store.ts'
import { Manifests } from './manifests.ts'
import { PushEvents, type PushEvent } from './push-events.ts'

const alice: Did = 'did:plc:alice'
const hold: Did = 'did:web:hold.example'
const app = { ownerDid: alice, name: 'app' } as const
const other = { ownerDid: alice, name: 'other' } as const
const now = () => new Date('2026-01-01T00:00:00Z')

/** What the repositories link: digest → hold and size. */
let linked: Map<string, { holdDid: Did; sizeBytes: number }>
let isReadable: boolean
/** How many pushes were let through to be committed. */
let queuedCount: number
let pds: PdsManifestsTwin
let pushEvents: PushEvents
let db: Database<AppViewTables>
let manifests: Manifests

const openDb = () => openDatabase<AppViewTables>({ path: ':memory:' }, migrations)

function service(database: Database<AppViewTables>): Manifests {
  const store = new ManifestStore({ db: database })
  return new Manifests({
    db: database,
    pds,
    store,
    lookup: new ManifestLookup({ db: database, pds, store, now }),
    blobs: {
      findLinked: async (_repository, digests) =>
        new Map(
          digests.flatMap((digest) => {
            const link = linked.get(digest)
            return link === undefined ? [] : [[digest, { digest, ...link }]]
          }),
        ),
    },
    holds: {
      pushHold: async () => hold,
      currentHold: async (did) => (did === 'did:web:succeeded.example' ? hold : did),
      checkWrite: async () => void queuedCount++,
      canRead: async () => isReadable,
    },
    allowsSparseImages: false,
    pushEvents,
    onNotification: () => undefined,
    now,
  })
}

beforeEach(async () => {
  linked = new Map()
  isReadable = true
  queuedCount = 0
  pds = new PdsManifestsTwin()
  pushEvents = new PushEvents()
  db = await openDb()
  manifests = service(db)
})

const config = digestOfBytes(Buffer.from('{}'))
const layer = digestOfBytes(Buffer.from('layer'))
const mediaType = 'application/vnd.oci.image.manifest.v1+json'

function image(
  note: string,
  layers: object[] = [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: layer, size: 5 }],
) {
  linked.set(config, { holdDid: hold, sizeBytes: 2 })
  linked.set(layer, { holdDid: hold, sizeBytes: 5 })
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 2 },
      layers,
      annotations: { note },
    }),
  )
}

const put = (bytes: Buffer, reference = 'latest', repository: RepositoryKey = app, to = manifests) =>
  to.put({
    repository,
    writer: alice,
    reference: parseReference(reference),
    tags: [],
    bytes,
    contentType: mediaType,
  })

const get = (reference: string, repository: RepositoryKey = app) =>
  manifests.find(repository, parseReference(reference), undefined)

const repositoriesInRecord = async (digest: Digest) => (await pds.findManifest(alice, digest))?.repositories

const waitingCount = async () => (await listDueHoldNotifications(db, { now: '2100', limit: 100 })).length

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )

test('a push is one blob and one commit, and is read back without the PDS', async () => {
  const bytes = image('first')
  const { digest } = await put(bytes)
  expect(pds.calls).toEqual(['uploadBytes', 'commit'])
  expect(Buffer.from((await get('latest'))?.bytes ?? []).equals(bytes)).toBe(true)
  expect((await get(digest))?.mediaType).toBe(mediaType)
  expect(pds.calls).toHaveLength(2)
  expect(await waitingCount()).toBe(1)
})

test('pushing the same again looks whether it is there and moves the tag only; by digest it writes nothing', async () => {
  const bytes = image('same')
  const { digest } = await put(bytes)
  await put(bytes)
  await put(bytes, digest)
  expect(pds.calls).toEqual(['uploadBytes', 'commit', 'findManifest', 'commit', 'findManifest'])
})

test('several tags are set in the same commit', async () => {
  const tags = ['v1', 'v1.2', 'v1.2.3'].map(parseTag)
  const bytes = image('tags')
  await manifests.put({
    repository: app,
    writer: alice,
    reference: parseReference('latest'),
    tags,
    bytes,
    contentType: mediaType,
  })
  expect(pds.calls.filter((call) => call === 'commit')).toHaveLength(1)
  for (const tag of ['latest', ...tags]) expect((await get(tag))?.digest).toBe(digestOfBytes(bytes))
})

describe('what is told of pushes', () => {
  let told: PushEvent[]
  beforeEach(() => {
    told = []
    pushEvents.subscribe({ tell: (push) => told.push(push) })
  })

  test('every tag that was put is told once, in order, with what it names', async () => {
    const bytes = image('told')
    const tags = ['v1', 'v1.2', 'v1'].map(parseTag)
    const { digest } = await manifests.put({ repository: app, writer: alice, reference: parseReference('v1'), tags, bytes, contentType: mediaType }) // prettier-ignore
    await put(bytes)
    expect(told.map(({ tag }) => tag)).toEqual(['v1', 'v1.2', 'latest'])
    expect(told[0]).toEqual({ ownerDid: alice, repository: 'app', tag: 'v1', digest, mediaType, holdDid: hold, pusherDid: alice, at: now() }) // prettier-ignore
  })

  test('a push by digest is told without a tag, and not again when nothing was to be written', async () => {
    const bytes = image('by digest')
    for (let count = 0; count < 2; count++) await put(bytes, digestOfBytes(bytes))
    expect(told.map(({ digest, tag }) => [digest, tag])).toEqual([[digestOfBytes(bytes), undefined]])
  })

  test('a push that failed is not told; one that failed by its subscriber is in no row', async () => {
    pds.isDown = new AppViewError('pds_unreachable', 'down')
    await put(image('down')).catch(() => undefined)
    delete pds.isDown
    const end = pushEvents.subscribe({ write: () => Promise.reject(new Error('no room')) })
    await expect(put(image('no room'))).rejects.toThrow('no room')
    expect([told, await waitingCount()]).toEqual([[], 0])
    end()
    await put(image('no room'))
    expect([told.length, await waitingCount()]).toEqual([1, 1])
  })
})

test('a manifest in a second repository grows the record, without another blob', async () => {
  const bytes = image('shared')
  const { digest } = await put(bytes)
  await put(bytes, 'latest', other)
  expect(await repositoriesInRecord(digest)).toEqual(['app', 'other'])
  expect(pds.calls.filter((call) => call === 'uploadBytes')).toHaveLength(1)
  await manifests.delete(app, parseReference(digest))
  expect(await repositoriesInRecord(digest)).toEqual(['other'])
  expect([await get('latest'), (await get('latest', other))?.digest]).toEqual([undefined, digest])
})

test('records that the index does not know are found when the PDS refuses to make them again', async () => {
  const bytes = image('known elsewhere')
  const { digest } = await put(bytes, 'latest', other)
  const fresh = service(await openDb())
  await put(bytes, 'latest', app, fresh)
  expect(await repositoriesInRecord(digest)).toEqual(['other', 'app'])
  await put(image('moved on'), 'latest', app, service(await openDb()))
  expect((await pds.findTag(alice, 'app', 'latest'))?.digest).toBe(digestOfBytes(image('moved on')))
})

test('a commit whose answer was lost is found done', async () => {
  pds.failures.push({ error: new AppViewError('pds_unreachable', 'no answer'), isDone: true })
  expect(await codeOf(put(image('lost')))).toBe('ok')
  expect((await get('latest'))?.digest).toBe(digestOfBytes(image('lost')))
})

test('a moved tag whose answer was lost, and a lost race, are committed again', async () => {
  await put(image('before'))
  pds.failures.push({ error: new AppViewError('pds_unreachable', 'no answer'), isDone: true })
  expect(await codeOf(put(image('after')))).toBe('ok')
  pds.failures.push({ error: new AppViewError('pds_conflict', 'InvalidSwap'), isDone: false })
  expect(await codeOf(put(image('raced')))).toBe('ok')
  expect((await get('latest'))?.digest).toBe(digestOfBytes(image('raced')))
})

test('a manifest pushed by digest whose answer was lost is in the index at once', async () => {
  const bytes = image('lost by digest')
  pds.failures.push({ error: new AppViewError('pds_unreachable', 'no answer'), isDone: true })
  const { digest } = await put(bytes, digestOfBytes(bytes))
  pds.calls.length = 0
  expect((await get(digest))?.digest).toBe(digest)
  expect(pds.calls).toEqual([])
  expect(await waitingCount()).toBe(1)
})

test('records that were deleted behind our back are made again', async () => {
  const bytes = image('deleted elsewhere')
  const { digest } = await put(bytes)
  pds.records.clear()
  pds.blobs.clear()
  await put(bytes)
  expect(await repositoriesInRecord(digest)).toEqual(['app'])
  pds.records.clear()
  pds.blobs.clear()
  await put(bytes, digest)
  expect(await repositoriesInRecord(digest)).toEqual(['app'])
  expect(pds.blobs.size).toBe(1)
})

test('repositories that another AppView added to a record stay there', async () => {
  const bytes = image('grown elsewhere')
  const { digest } = await put(bytes)
  const elsewhere = service(await openDb())
  await put(bytes, 'latest', other, elsewhere)
  await put(bytes, 'latest', { ownerDid: alice, name: 'third' })
  expect(await repositoriesInRecord(digest)).toEqual(['app', 'other', 'third'])
})

test('a PDS that is down or limits us fails the push, and nothing of it is seen', async () => {
  for (const code of ['pds_unreachable', 'rate_limited', 'session_lost'] as const) {
    pds.isDown = new AppViewError(code, code)
    expect(await codeOf(put(image('down')))).toBe(code)
  }
  delete pds.isDown
  expect(await get('latest')).toBeUndefined()
  expect(await waitingCount()).toBe(0)
})

describe('pushes at once', () => {
  const commitCount = () => pds.calls.filter((call) => call === 'commit').length

  /** Starts these pushes while a first one is being committed. */
  async function whileCommitting(pushes: () => Promise<unknown>[]): Promise<PromiseSettledResult<unknown>[]> {
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    pds.beforeCommit = () => held
    const first = put(image('the first'), 'first')
    await vi.waitFor(() => expect(commitCount()).toBe(1))
    const waiting = pushes()
    // All that stands before the queue is the database in memory.
    await vi.waitFor(() => expect(queuedCount).toBe(waiting.length + 1))
    delete pds.beforeCommit
    release()
    await first
    return Promise.allSettled(waiting)
  }

  test('share a commit, and all arrive', async () => {
    const images = Array.from({ length: 20 }, (_, index) => image(`parallel ${index}`))
    const outcomes = await whileCommitting(() => images.map((bytes, index) => put(bytes, `t${index}`)))
    expect(outcomes.every(({ status }) => status === 'fulfilled')).toBe(true)
    expect(commitCount()).toBe(2)
    for (const [index, bytes] of images.entries())
      expect((await get(`t${index}`))?.digest).toBe(digestOfBytes(bytes))
    expect(await waitingCount()).toBe(21)
  })

  test('of the same tag: the later one wins, in PDS and index', async () => {
    const images = ['a', 'b', 'c'].map((note) => image(note))
    await whileCommitting(() => images.map((bytes) => put(bytes, 'same')))
    expect(commitCount()).toBe(2)
    const last = digestOfBytes(images[2] as Buffer)
    expect((await pds.findTag(alice, 'app', 'same'))?.digest).toBe(last)
    expect((await get('same'))?.digest).toBe(last)
  })

  test('of the same manifest into two repositories are one record of both, and one blob', async () => {
    const bytes = image('twice')
    await whileCommitting(() => [put(bytes, 'a'), put(bytes, 'b', other)])
    expect(commitCount()).toBe(2)
    expect(await repositoriesInRecord(digestOfBytes(bytes))).toEqual(['app', 'other'])
    expect(pds.calls.filter((call) => call === 'uploadBytes')).toHaveLength(2)
    expect([(await get('a'))?.digest, (await get('b', other))?.digest]).toEqual(
      [bytes, bytes].map((it) => digestOfBytes(it)),
    )
  })

  test('of which one is bad: only that one fails', async () => {
    const bad = digestOfBytes(image('bad'))
    pds.refusedRkeys.add(manifestRkey(bad))
    const outcomes = await whileCommitting(() =>
      ['good', 'bad', 'fine'].map((note) => put(image(note), note)),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect([await get('good'), await get('fine')]).not.toContain(undefined)
    expect(await get('bad')).toBeUndefined()
  })

  test('of which two want one record key for different tags: the later of those fails alone', async () => {
    const at = (name: string) => ({ ownerDid: alice, name })
    const outcomes = await whileCommitting(() => [
      put(image('one'), 'c', at('a_b')),
      put(image('two'), 'b_c', at('a')),
      put(image('three'), 'other'),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({ reason: { code: 'reference_invalid' } })
  })

  test('to a PDS that is down or limits us fail together, after one question', async () => {
    pds.failures.push(
      ...(['none', 'rate_limited'] as const).map((code) => ({
        error: code === 'none' ? undefined : new AppViewError(code, code),
        isDone: code === 'none',
      })),
    )
    const outcomes = await whileCommitting(() => ['x', 'y', 'z'].map((note) => put(image(note), note)))
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(commitCount()).toBe(2)
  })

  test('go in several commits when they are too many for one', async () => {
    const images = Array.from({ length: 150 }, (_, index) => image(`many ${index}`))
    await whileCommitting(() => images.map((bytes, index) => put(bytes, `t${index}`)))
    expect(pds.largestCommit).toBeLessThanOrEqual(100)
    expect(pds.records.size).toBe(302)
  })
})

test('blobs that are missing, on another hold, or of another size are told', async () => {
  const bytes = image('blobs')
  linked.delete(layer)
  expect(await codeOf(put(bytes))).toBe('manifest_blob_missing')
  linked.set(layer, { holdDid: 'did:web:old.example', sizeBytes: 5 })
  expect(await codeOf(put(bytes))).toBe('manifest_blob_missing')
  linked.set(layer, { holdDid: hold, sizeBytes: 6 })
  expect(await codeOf(put(bytes))).toBe('size_invalid')
  expect(pds.calls).toEqual([])
})

test('a new manifest never names a hold that was succeeded', async () => {
  const bytes = image('succeeded')
  for (const digest of [config, layer]) {
    linked.set(digest, { holdDid: 'did:web:succeeded.example', sizeBytes: digest === layer ? 5 : 2 })
  }
  expect(await codeOf(put(bytes))).toBe('manifest_blob_missing')
})

test('layers that are never pushed need not be there', async () => {
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: digestOfBytes(Buffer.from('f')),
    size: 1,
  }
  const elsewhere = {
    mediaType: 'application/octet-stream',
    digest: digestOfBytes(Buffer.from('u')),
    size: 1,
    urls: ['https://x.example/u'],
  }
  expect(await codeOf(put(image('foreign', [foreign, elsewhere])))).toBe('ok')
})

test('a wrong digest, and a tag whose record key another tag has, are refused', async () => {
  const bytes = image('digest')
  expect(await codeOf(put(bytes, digestOfBytes(Buffer.from('other'))))).toBe('digest_mismatch')
  await manifests.put({
    repository: { ownerDid: alice, name: 'a_b' },
    writer: alice,
    reference: parseReference('c'),
    tags: [],
    bytes,
    contentType: mediaType,
  })
  const clash = manifests.put({
    repository: { ownerDid: alice, name: 'a' },
    writer: alice,
    reference: parseReference('b_c'),
    tags: [],
    bytes,
    contentType: mediaType,
  })
  expect(await codeOf(clash)).toBe('reference_invalid')
})

test('deleting a manifest takes its tags along in one commit; deleting a tag takes only it', async () => {
  const bytes = image('delete')
  const { digest } = await put(bytes, 'a')
  await put(bytes, 'b')
  await put(bytes, 'c')
  expect(await manifests.delete(app, parseReference('c'))).toBe(true)
  expect((await get(digest))?.digest).toBe(digest)
  const before = pds.calls.filter((call) => call === 'commit').length
  expect(await manifests.delete(app, parseReference(digest))).toBe(true)
  expect(pds.calls.filter((call) => call === 'commit')).toHaveLength(before + 1)
  expect(pds.records.size).toBe(0)
  expect(await manifests.delete(app, parseReference(digest))).toBe(false)
})

test('deleting what is gone from the PDS already clears the index', async () => {
  const { digest } = await put(image('half gone'), 'a')
  pds.records.delete(`${alice}/io.atcr.tag/app_a`)
  expect(await manifests.delete(app, parseReference(digest))).toBe(true)
  expect(pds.records.size).toBe(0)
  const again = await put(image('all gone'), 'b')
  pds.records.clear()
  expect(await manifests.delete(app, parseReference(again.digest))).toBe(true)
  expect(await get('b')).toBeUndefined()
})

test('deleting survives a lost race and a lost answer; a limit leaves everything as it was', async () => {
  const { digest } = await put(image('delete in trouble'), 'a')
  pds.failures.push({ error: new AppViewError('rate_limited', 'slow down'), isDone: false })
  expect(await codeOf(manifests.delete(app, parseReference(digest)))).toBe('rate_limited')
  expect((await get('a'))?.digest).toBe(digest)
  pds.failures.push({ error: new AppViewError('pds_conflict', 'InvalidSwap'), isDone: false })
  expect(await codeOf(manifests.delete(app, parseReference('a')))).toBe('ok')
  pds.failures.push({ error: new AppViewError('pds_unreachable', 'no answer'), isDone: true })
  expect(await codeOf(manifests.delete(app, parseReference(digest)))).toBe('ok')
  expect([pds.records.size, await get(digest)]).toEqual([0, undefined])
})

test('a manifest that was deleted can be pushed again', async () => {
  const bytes = image('again')
  for (let round = 0; round < 3; round++) {
    const { digest } = await put(bytes)
    expect((await get('latest'))?.digest).toBe(digest)
    await manifests.delete(app, parseReference(digest))
    expect(await get('latest')).toBeUndefined()
  }
})

test('an index that knows nothing reads from the PDS once, and serves while it is down', async () => {
  const bytes = image('cold')
  const { digest } = await put(bytes)
  manifests = service(await openDb())
  pds.calls.length = 0
  expect(Buffer.from((await get('latest'))?.bytes ?? []).equals(bytes)).toBe(true)
  expect(pds.calls.toSorted()).toEqual(['findBytes', 'findManifest', 'findTag'])
  await get('latest')
  await get(digest)
  expect(pds.calls).toHaveLength(3)
  expect(await get(digest, other)).toBeUndefined()
})

test('other bytes in the PDS than the record promises are not served', async () => {
  const { digest } = await put(image('honest'))
  for (const cid of pds.blobs.keys()) pds.blobs.set(cid, image('forged'))
  manifests = service(await openDb())
  expect(await get(digest)).toBeUndefined()
})

test('what a hold does not show to a reader is not there for him', async () => {
  const { digest } = await put(image('private'))
  isReadable = false
  expect([await get('latest'), await get(digest)]).toEqual([undefined, undefined])
})
