import { createHash, randomBytes } from 'node:crypto'

import { beforeEach, describe, expect, test } from 'vitest'

import type { Did } from '../../atproto/syntax.ts'
import { openDatabase, type Database } from '../../lib/database.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { HoldUploadsTwin } from '../../../test/twins/hold-uploads.ts'
import { findBlobLink } from '../db/blob-links.ts'
import { migrations } from '../db/migrations.ts'
import type { AppViewTables } from '../db/schema.ts'
import { findUpload } from '../db/uploads.ts'
import { AppViewError } from '../errors.ts'
import { BlobUploads, type UploadChunk } from './blob-uploads.ts'
import { Blobs } from './blobs.ts'

const hold = 'did:web:hold.example'
const alice = 'did:plc:alice'
const owner = { accountDid: alice, repository: { ownerDid: alice, name: 'app' } } as const
const blobsUrl = 'https://registry.example/v2/alice.test/app/blobs/'
const MiB = 1024 * 1024

/** What the hold says when it is asked whether it was succeeded. */
let successor: Did | undefined
let nowMs: number
let db: Database<AppViewTables>
let twin: HoldUploadsTwin
let uploads: BlobUploads
const now = () => new Date(nowMs)
const holds = {
  pushHold: async () => hold,
  checkWrite: async () => undefined,
  isManaged: () => true,
  findNewSuccessor: async () => successor,
} as const
const instance = (uploadMode: 'direct' | 'relay' = 'relay') =>
  new BlobUploads({ db, uploads: twin, holds: { ...holds, pushHold: async () => hold }, uploadMode, now })

beforeEach(async () => {
  nowMs = Date.parse('2026-01-01T00:00:00Z')
  successor = undefined
  db = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  twin = new HoldUploadsTwin()
  uploads = instance()
})

const digestOf = (bytes: Uint8Array, algorithm = 'sha256') =>
  parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)

/** Bytes as a socket brings them, in pieces that fit nothing. */
function chunk(
  bytes: Uint8Array,
  options: { range?: [number, number]; breaksOff?: boolean } = {},
): UploadChunk {
  async function* pieces() {
    for (let start = 0; start < bytes.length; start += 65_521)
      yield new Uint8Array(bytes.subarray(start, start + 65_521))
    if (options.breaksOff === true) throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' })
  }
  const range = options.range && { start: options.range[0], end: options.range[1] }
  return { body: pieces(), range }
}
const nothing = () => chunk(new Uint8Array())

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string }) => error.code,
  )

describe('a relayed upload', () => {
  test.each([
    [
      'one PATCH, then an empty PUT',
      async (id: string, bytes: Buffer) => void (await uploads.append(id, owner, chunk(bytes))),
    ],
    ['all in the PUT', undefined],
    [
      'three PATCHes',
      async (id: string, bytes: Buffer) => {
        for (const [from, to] of [
          [0, MiB],
          [MiB, 9 * MiB],
          [9 * MiB, bytes.length],
        ] as const) {
          await uploads.append(id, owner, chunk(bytes.subarray(from, to), { range: [from, to - 1] }))
        }
      },
    ],
  ])('%s: the bytes arrive whole, in parts that S3 takes', async (_shape, send) => {
    const bytes = randomBytes(20 * MiB + 12_345)
    const { upload } = await uploads.start(owner, { blobsUrl })
    await send?.(upload.id, bytes)
    const link = await uploads.finish(upload.id, owner, digestOf(bytes), send ? nothing() : chunk(bytes))
    expect(link).toEqual({ digest: digestOf(bytes), holdDid: hold, sizeBytes: bytes.length })
    expect(twin.blobs.get(digestOf(bytes))?.equals(bytes)).toBe(true)
    for (const size of twin.partSizes.slice(0, -1)) expect(size).toBeGreaterThanOrEqual(5 * MiB)
    expect(await findBlobLink(db, owner.repository, digestOf(bytes))).toEqual(link)
    expect(await findUpload(db, upload.id)).toBeUndefined()
  })

  test('goes on at another instance, whose hash is not whole: then the hold verifies', async () => {
    const bytes = randomBytes(7 * MiB)
    const { upload } = await uploads.start(owner, { blobsUrl })
    await uploads.append(upload.id, owner, chunk(bytes.subarray(0, 6 * MiB)))
    const other = instance()
    expect((await other.get(upload.id, owner)).offsetBytes).toBe(6 * MiB)
    await other.append(upload.id, owner, chunk(bytes.subarray(6 * MiB)))
    await other.finish(upload.id, owner, digestOf(bytes), nothing())
    expect(twin.blobs.get(digestOf(bytes))?.equals(bytes)).toBe(true)
  })

  test('under a wrong digest is refused and forgotten, by us or by the hold', async () => {
    const bytes = randomBytes(1000)
    for (const finisher of [uploads, instance()]) {
      const { upload } = await uploads.start(owner, { blobsUrl })
      await uploads.append(upload.id, owner, chunk(bytes))
      const wrong = digestOf(randomBytes(1))
      expect(await codeOf(finisher.finish(upload.id, owner, wrong, nothing()))).toBe('digest_mismatch')
      expect(await codeOf(uploads.get(upload.id, owner))).toBe('upload_unknown')
      expect(await findBlobLink(db, owner.repository, wrong)).toBeUndefined()
    }
  })

  test('may be sha512, announced or not', async () => {
    const bytes = randomBytes(1000)
    for (const algorithm of ['sha512', undefined] as const) {
      const { upload } = await uploads.start(owner, { blobsUrl, algorithm })
      await uploads.finish(upload.id, owner, digestOf(bytes, 'sha512'), chunk(bytes))
    }
    expect([...twin.blobs.keys()]).toEqual([digestOf(bytes, 'sha512')])
  })

  test('of no bytes at all is a blob', async () => {
    const { upload } = await uploads.start(owner, { blobsUrl })
    const link = await uploads.finish(upload.id, owner, digestOf(Buffer.alloc(0)), nothing())
    expect(link.sizeBytes).toBe(0)
  })

  test('refuses gaps and overlaps, and chunks that are not as long as they say', async () => {
    const { upload } = await uploads.start(owner, { blobsUrl })
    await uploads.append(upload.id, owner, chunk(randomBytes(100), { range: [0, 99] }))
    for (const range of [
      [101, 200],
      [50, 149],
      [0, 99],
    ] as [number, number][]) {
      expect(await codeOf(uploads.append(upload.id, owner, chunk(randomBytes(100), { range })))).toBe(
        'upload_out_of_order',
      )
    }
    expect(
      await codeOf(uploads.append(upload.id, owner, chunk(randomBytes(50), { range: [100, 199] }))),
    ).toBe('size_invalid')
    expect((await uploads.get(upload.id, owner)).offsetBytes).toBe(100)
  })

  test('a chunk that was refused leaves no trace in the digest', async () => {
    const bytes = randomBytes(200)
    const { upload } = await uploads.start(owner, { blobsUrl })
    await uploads.append(upload.id, owner, chunk(bytes.subarray(0, 100), { range: [0, 99] }))
    await uploads
      .append(upload.id, owner, chunk(randomBytes(50), { range: [100, 199] }))
      .catch(() => undefined)
    await uploads.append(upload.id, owner, chunk(bytes.subarray(100), { range: [100, 199] }))
    expect(await codeOf(uploads.finish(upload.id, owner, digestOf(bytes), nothing()))).toBe('ok')
  })

  test('keeps what arrived before the client went away', async () => {
    const bytes = randomBytes(10 * MiB)
    const { upload } = await uploads.start(owner, { blobsUrl })
    const broken = chunk(bytes.subarray(0, 9 * MiB), { breaksOff: true })
    expect(await codeOf(uploads.append(upload.id, owner, broken))).toBe('upload_invalid')
    const { offsetBytes } = await uploads.status(upload.id, owner)
    expect(offsetBytes).toBe(9 * MiB)
    await uploads.append(upload.id, owner, chunk(bytes.subarray(offsetBytes)))
    expect(await codeOf(uploads.finish(upload.id, owner, digestOf(bytes), nothing()))).toBe('ok')
  })

  test('two chunks at once: one wins', async () => {
    const bytes = randomBytes(6 * MiB)
    const { upload } = await uploads.start(owner, { blobsUrl })
    const both = await Promise.all([
      codeOf(uploads.append(upload.id, owner, chunk(bytes))),
      codeOf(uploads.append(upload.id, owner, chunk(bytes))),
    ])
    expect(both.sort()).toEqual(['ok', 'upload_busy'])
    expect(await codeOf(uploads.finish(upload.id, owner, digestOf(bytes), nothing()))).toBe('ok')
  })

  test('two instances at once: the second to finish writing is told', async () => {
    const { upload } = await uploads.start(owner, { blobsUrl })
    const both = await Promise.all([
      codeOf(uploads.append(upload.id, owner, chunk(randomBytes(1000)))),
      codeOf(instance().append(upload.id, owner, chunk(randomBytes(1000)))),
    ])
    expect(both.sort()).toEqual(['ok', 'upload_busy'])
  })

  test('stops at the first part that the storage refuses, and can be tried again', async () => {
    const bytes = randomBytes(20 * MiB)
    const { upload } = await uploads.start(owner, { blobsUrl })
    twin.beforePart = async (partNumber) => {
      if (partNumber === 2) throw new AppViewError('hold_unreachable', 'storage is down')
    }
    expect(await codeOf(uploads.append(upload.id, owner, chunk(bytes)))).toBe('hold_unreachable')
    expect((await uploads.get(upload.id, owner)).offsetBytes).toBe(0)
    twin.beforePart = async () => undefined
    expect(await codeOf(uploads.finish(upload.id, owner, digestOf(bytes), chunk(bytes)))).toBe('ok')
  })

  test('is its account’s and repository’s alone, and ends when it is cancelled, finished or old', async () => {
    const { upload } = await uploads.start(owner, { blobsUrl })
    const others = [
      { ...owner, accountDid: 'did:plc:bob' },
      { ...owner, repository: { ...owner.repository, name: 'other' } },
    ] as const
    for (const other of others) expect(await codeOf(uploads.get(upload.id, other))).toBe('upload_unknown')
    await uploads.cancel(upload.id, owner)
    expect(await codeOf(uploads.append(upload.id, owner, nothing()))).toBe('upload_unknown')
    const { upload: old } = await uploads.start(owner, { blobsUrl })
    nowMs += 25 * 3_600_000
    expect(await codeOf(uploads.get(old.id, owner))).toBe('upload_unknown')
    expect([await uploads.sweep(), await uploads.sweep()]).toEqual([1, 0])
    expect(twin.calls.filter((call) => call === 'abort')).toHaveLength(2)
  })
})

test('a hold that refuses is asked whether it was succeeded, and the upload begins there', async () => {
  twin.closed.add(hold)
  await expect(uploads.start(owner, { blobsUrl })).rejects.toThrow('no uploads here any more')
  successor = 'did:web:next.example'
  const { upload } = await uploads.start(owner, { blobsUrl })
  expect(upload.holdDid).toBe(successor)
})

describe('a direct upload', () => {
  const digest = digestOf(Buffer.from('direct'))

  test('hands out the hold’s URL, and is linked once somebody misses the blob', async () => {
    twin.isDirectOffered = true
    const direct = instance('direct')
    const blobs = new Blobs({
      db,
      uploads: twin,
      holds: {
        ...holds,
        pushHold: async () => hold,
        currentHold: async (did) => did,
        canRead: async () => true,
        locateBlob: async () => undefined,
      },
      now,
    })
    const { upload, uploadUrl } = await direct.start(owner, { blobsUrl })
    expect(uploadUrl).toBe(`https://hold.example/uploads/${upload.holdUploadId}`)
    expect(await blobs.find(owner.repository, digest, alice)).toBeUndefined()
    twin.finishDirectly(upload.holdUploadId, digest, 6)
    expect(await blobs.find(owner.repository, digest, 'did:plc:bob')).toBeUndefined()
    expect(await blobs.find(owner.repository, digest, alice)).toEqual({ digest, holdDid: hold, sizeBytes: 6 })
    const asked = twin.calls.filter((call) => call === 'listStatus').length
    await blobs.find(owner.repository, digest, alice)
    await blobs.find(owner.repository, digestOf(Buffer.from('x')), alice)
    expect(twin.calls.filter((call) => call === 'listStatus')).toHaveLength(asked)
  })

  test('is relayed when the hold offers no URL, or the bytes are here already', async () => {
    const direct = instance('direct')
    expect((await direct.start(owner, { blobsUrl })).upload.mode).toBe('relay')
    twin.isDirectOffered = true
    expect((await direct.start(owner, { blobsUrl, digest })).upload.mode).toBe('relay')
  })
})
