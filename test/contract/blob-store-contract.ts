import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import type { BlobStore, StoredObject, StoreUpload } from '../../src/hold/ports/blob-store.ts'
import { blobKey, uploadKey } from '../../src/hold/storage/blob-keys.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { digestOfBytes } from '../../src/protocol/oci/digest.ts'
import { listPageSize, type StoreHarness } from './blob-stores.ts'

const partBytes = 5 * 1024 * 1024

const bytesOf = (text: string) => new TextEncoder().encode(text)
const filled = (size: number, seed: number) => {
  const bytes = Buffer.alloc(size)
  for (let index = 0; index < size; index += 4) bytes.writeUInt32LE((index * 2654435761 + seed) >>> 0, index)
  return bytes
}
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
/** Copies: the store may free what it was given. */
async function* once(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield new Uint8Array(chunk)
}

let counter = 0
const nextUploadKey = () => uploadKey(`contract-${process.pid}-${counter++}`)

/** What every driver must do; registers its tests. `open` gets a folder of its own. */
export function testBlobStore(name: string, open: (folder: string) => Promise<StoreHarness>): void {
  describe(name, () => {
    testStore(open)
  })
}

function testStore(open: (folder: string) => Promise<StoreHarness>): void {
  let harness: StoreHarness
  let store: BlobStore
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-blob-store-'))
    harness = await open(folder)
    store = harness.store
  })
  afterAll(async () => {
    await harness[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const read = async (key: Parameters<BlobStore['open']>[0], range?: { start: number; end: number }) =>
    Buffer.from(await collectBytes(await store.open(key, range), 64 * 1024 * 1024)).toString('latin1')

  test('put, find, read back, delete', async () => {
    const bytes = bytesOf('a small blob')
    const key = blobKey(digestOfBytes(bytes))
    expect(await store.findSize(key)).toBeUndefined()
    await store.put(key, bytes)
    await store.put(key, bytes)
    expect(await store.findSize(key)).toBe(12)
    expect(await read(key)).toBe('a small blob')
    expect(await read(key, { start: 2, end: 6 })).toBe('small')
    await store.delete(key)
    await store.delete(key)
    expect(await store.findSize(key)).toBeUndefined()
    await expect(store.open(key)).rejects.toMatchObject({ code: 'blob_unknown' })
  })

  test('an empty blob', async () => {
    const key = blobKey(digestOfBytes(new Uint8Array()))
    await store.put(key, new Uint8Array())
    expect(await store.findSize(key)).toBe(0)
    expect(await read(key)).toBe('')
    const upload = await store.beginUpload(nextUploadKey())
    expect(await store.completeUpload(upload, [])).toMatchObject({ sizeBytes: 0 })
    expect(await store.findSize(upload.key)).toBe(0)
    await store.delete(key)
  })

  test('parts arrive in any order, and are read in order of their numbers', async () => {
    const [first, second, third] = [filled(partBytes, 1), filled(partBytes, 2), bytesOf('the end')]
    const upload = await store.beginUpload(nextUploadKey())
    const parts = [
      await store.writePart(upload, 3, once(third)),
      ...(await Promise.all([
        store.writePart(upload, 2, once(second.subarray(0, 100), second.subarray(100))),
        store.writePart(upload, 1, once(first)),
      ])),
    ]
    expect(await store.findSize(upload.key)).toBeUndefined()
    const whole = Buffer.concat([first, second, third])
    const done = await store.completeUpload(upload, parts)
    expect(done.sizeBytes).toBe(whole.byteLength)
    if (done.sha256Hex !== undefined) expect(done.sha256Hex).toBe(sha256(whole))
    expect(sha256(await collectBytes(await store.open(upload.key), 64 * 1024 * 1024))).toBe(sha256(whole))
    // The answer was lost, and it is asked for again.
    expect((await store.completeUpload(upload, parts)).sizeBytes).toBe(whole.byteLength)
    await store.delete(upload.key)
  })

  test('a part sent again under its number counts', async () => {
    const upload = await store.beginUpload(nextUploadKey())
    const old = await store.writePart(upload, 1, once(bytesOf('first try')))
    const now = await store.writePart(upload, 1, once(bytesOf('second')))
    await expect(store.completeUpload(upload, [old])).rejects.toMatchObject({ code: 'parts_missing' })
    await store.completeUpload(upload, [now])
    expect(await read(upload.key)).toBe('second')
    await store.delete(upload.key)
  })

  test('a part that never arrived, and an ETag that is none', async () => {
    const upload = await store.beginUpload(nextUploadKey())
    const part = await store.writePart(upload, 1, once(filled(partBytes, 3)))
    const missing = { partNumber: 2, etag: part.etag }
    await expect(store.completeUpload(upload, [part, missing])).rejects.toMatchObject({
      code: 'parts_missing',
    })
    for (const etag of ['', '../../x', 'nonsense']) {
      await expect(store.completeUpload(upload, [{ partNumber: 1, etag }])).rejects.toMatchObject({
        code: 'parts_missing',
      })
    }
    expect(await store.findSize(upload.key)).toBeUndefined()
    await store.abortUpload(upload)
  })

  test('a source that breaks leaves no part', async () => {
    const upload = await store.beginUpload(nextUploadKey())
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytesOf('some')
      throw new Error('the wire broke')
    }
    await expect(store.writePart(upload, 1, broken())).rejects.toThrow('the wire broke')
    await store.abortUpload(upload)
    await store.abortUpload(upload)
    expect(await store.findSize(upload.key)).toBeUndefined()
    await expect(store.writePart(upload, 1, once(bytesOf('late')))).rejects.toMatchObject({
      code: 'upload_unknown',
    })
  })

  test('a copy is whole at once, and two writers of one digest agree', async () => {
    const bytes = filled(100_000, 4)
    const key = blobKey(digestOfBytes(bytes))
    const uploads = await Promise.all(
      [1, 2].map(async () => {
        const upload = await store.beginUpload(nextUploadKey())
        await store.completeUpload(upload, [await store.writePart(upload, 1, once(bytes))])
        return upload
      }),
    )
    await Promise.all(uploads.map(async (upload) => store.copy(upload.key, key)))
    for (const upload of uploads) {
      expect(await store.findSize(upload.key)).toBe(bytes.byteLength)
      await store.delete(upload.key)
      expect(await store.findSize(upload.key)).toBeUndefined()
    }
    expect(sha256(await collectBytes(await store.open(key), 1e6))).toBe(sha256(bytes))
    await store.delete(key)
  })

  test('lists uploads that go on, page by page, and none that ended', async () => {
    const ids = Array.from({ length: listPageSize + 2 }, (_, index) => `goes-on-${index}`)
    const begun = []
    for (const id of ids) begun.push(await store.beginUpload(uploadKey(id)))
    const [given, completed, ...open] = begun as [StoreUpload, StoreUpload, ...StoreUpload[]]
    await store.abortUpload(given)
    await store.completeUpload(completed, [await store.writePart(completed, 1, once(bytesOf('x')))])
    await store.abortUpload(completed)
    const listed = []
    for (let cursor: string | undefined; ;) {
      const page = await store.listUploads(cursor)
      listed.push(...page.uploads)
      cursor = page.cursor
      if (cursor === undefined) break
    }
    const found = listed.filter(({ key }) => key.includes('goes-on-'))
    const plain = ({ key, storeUploadId }: StoreUpload) => `${key} ${storeUploadId}`
    expect(found.map(plain).sort()).toEqual(open.map(plain).sort())
    expect(found.every(({ beganAt }) => beganAt.getTime() > 0)).toBe(true)
    for (const upload of open) await store.abortUpload(upload)
  })

  test('pages list every object below a prefix once', async () => {
    const keys = Array.from({ length: listPageSize * 2 + 5 }, (_, index) =>
      blobKey(digestOfBytes(bytesOf(`listed ${index}`))),
    )
    for (const key of keys) await store.put(key, bytesOf('x'))
    const listed: StoredObject[] = []
    let cursor: string | undefined
    let pageCount = 0
    do {
      const page = await store.list('docker/registry/v2/blobs/', cursor)
      listed.push(...page.objects)
      cursor = page.cursor
      pageCount += 1
    } while (cursor !== undefined)
    expect(pageCount).toBeGreaterThan(1)
    expect(listed.map(({ key }) => key).sort()).toEqual([...keys].sort())
    expect(listed[0]?.sizeBytes).toBe(1)
    expect(listed[0]?.modifiedAt).toBeInstanceOf(Date)
    for (const key of keys) await store.delete(key)
    expect((await store.list('docker/registry/v2/blobs/')).objects).toEqual([])
  })

  describe('presigned URLs', () => {
    const bytes = filled(300_000, 5)
    const digest = digestOfBytes(bytes)
    const blob = { digest, key: blobKey(digest) }
    const lifetimeSeconds = 60
    beforeAll(() => store.put(blob.key, bytes))
    afterAll(() => store.delete(blob.key))

    test('give the bytes, whole and in ranges', async () => {
      const url = await store.presignGet(blob, { lifetimeSeconds, method: 'GET' })
      const whole = await fetch(url)
      expect(whole.status).toBe(200)
      expect(sha256(Buffer.from(await whole.arrayBuffer()))).toBe(sha256(bytes))
      for (const [range, from, to] of [
        ['bytes=0-0', 0, 1],
        ['bytes=299990-', 299_990, 300_000],
        ['bytes=-10', 299_990, 300_000],
        ['bytes=100-400000', 100, 300_000],
      ] as const) {
        const part = await fetch(url, { headers: { range } })
        expect(part.status).toBe(206)
        expect(part.headers.get('content-range')).toBe(`bytes ${from}-${to - 1}/300000`)
        expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(from, to))).toBe(true)
      }
      const beyond = await fetch(url, { headers: { range: 'bytes=300000-' } })
      expect(beyond.status).toBe(416)
      await beyond.arrayBuffer()
    })

    test('are for one method', async () => {
      const head = await fetch(await store.presignGet(blob, { lifetimeSeconds, method: 'HEAD' }), {
        method: 'HEAD',
      })
      expect(head.status).toBe(200)
      expect(head.headers.get('content-length')).toBe('300000')
      const url = await store.presignGet(blob, { lifetimeSeconds, method: 'HEAD' })
      const wrong = await fetch(url)
      expect(wrong.status).toBe(403)
      await wrong.arrayBuffer()
    })

    test('are refused when tampered with or expired', async () => {
      const url = await store.presignGet(blob, { lifetimeSeconds, method: 'GET' })
      const other = new URL(url)
      other.pathname = other.pathname.replace(/[0-9a-f]{8}(?=$|\/data$)/, '00000000')
      const unsigned = new URL(url)
      unsigned.search = ''
      const longer = new URL(harness.lengthened(url))
      const attempts = [
        other,
        unsigned,
        longer,
        new URL(String(url).replace(/.$/, (c) => (c === '0' ? '1' : '0'))),
      ]
      for (const attempt of attempts) {
        const response = await fetch(attempt)
        expect([403, 400], String(attempt)).toContain(response.status)
        await response.arrayBuffer()
      }
      // Signed a minute ago: a real server's clock cannot be moved.
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 61_000 })
      const expired = await store.presignGet(blob, { lifetimeSeconds, method: 'GET' })
      vi.useRealTimers()
      const late = await fetch(expired)
      expect(late.status).toBe(403)
      await late.arrayBuffer()
    })

    test('take parts, whose ETag completes the upload', async () => {
      const upload = await store.beginUpload(nextUploadKey())
      const bodies = [filled(partBytes, 6), bytesOf('tail')]
      const parts = []
      for (const [index, body] of bodies.entries()) {
        const url = await store.presignPart(upload, index + 1, { lifetimeSeconds })
        const response = await fetch(url, { method: 'PUT', body: new Uint8Array(body) })
        expect(response.status).toBe(200)
        await response.arrayBuffer()
        const etag = response.headers.get('etag') ?? ''
        expect(etag).toMatch(/^".+"$/)
        parts.push({ partNumber: index + 1, etag: etag.slice(1, -1), sizeBytes: body.byteLength })
      }
      const done = await store.completeUpload(upload, parts)
      if (done.sha256Hex !== undefined) expect(done.sha256Hex).toBe(sha256(Buffer.concat(bodies)))
      expect(await store.findSize(upload.key)).toBe(partBytes + 4)
      await store.delete(upload.key)
    })

    test('for a part are for that part, that upload and PUT', async () => {
      const upload = await store.beginUpload(nextUploadKey())
      const url = await store.presignPart(upload, 1, { lifetimeSeconds })
      const attempts: [string | URL, string][] = [
        [harness.withPartNumber(url, 2), 'PUT'],
        [String(url).replace('contract-', 'contracX-'), 'PUT'],
        [url, 'GET'],
      ]
      for (const [attempt, method] of attempts) {
        const body = method === 'PUT' ? { body: 'x' } : {}
        const response = await fetch(attempt, { method, ...body })
        expect(response.status).toBe(403)
        await response.arrayBuffer()
      }
      await store.abortUpload(upload)
      const late = await fetch(url, { method: 'PUT', body: 'x' })
      expect(late.status).toBe(404)
      await late.arrayBuffer()
    })
  })
}
