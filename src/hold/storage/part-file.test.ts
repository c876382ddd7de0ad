import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { link, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { parseDigest } from '../../protocol/oci/digest.ts'
import { blobKey, uploadKey } from './blob-keys.ts'
import { FilesystemBlobStore } from './filesystem-blob-store.ts'
import type { UrlSigner } from './url-signer.ts'

let folder: string
let store: FilesystemBlobStore
const upload = { key: uploadKey('one'), storeUploadId: '' }
const open = () => FilesystemBlobStore.open({ folder, signer: {} as UrlSigner })
const inUpload = (name: string) => join(folder, 'uploads/one', name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-part-file-'))
  store = await open()
  await store.beginUpload(upload.key)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function* once(bytes: Uint8Array) {
  yield new Uint8Array(bytes)
}
const receive = (partNumber: number, bytes: Uint8Array) =>
  store.receivePart(upload, partNumber, { source: once(bytes), sizeBytes: bytes.byteLength })
const sha256 = (...all: Uint8Array[]) => {
  const hash = createHash('sha256')
  for (const bytes of all) hash.update(bytes)
  return hash.digest('hex')
}
const first = randomBytes(3_000_000)
const second = randomBytes(3_000_000)
const last = randomBytes(17)
const contents = () => readFile(inUpload('data'))

test('parts that come in any order, at once, are on disk once and hashed without another copy', async () => {
  const parts = await Promise.all([receive(3, last), receive(1, first), receive(2, second)])
  const done = await store.completeUpload(upload, parts)
  const isOneFile = existsSync(inUpload('parts'))
  expect(sha256(await contents())).toBe(sha256(first, second, last))
  expect(done.sizeBytes).toBe(6_000_017)
  expect(isOneFile).toBe(true)
})

test('in order nothing is copied, and the digest is known', async () => {
  const parts = [await receive(1, first), await receive(2, second), await receive(3, last)]
  const done = await store.completeUpload(upload, parts)
  expect(done).toEqual({ sizeBytes: 6_000_017, sha256Hex: sha256(first, second, last) })
  expect((await stat(inUpload('data'))).ino).toBe((await stat(inUpload('parts'))).ino)
})

test('what comes after it was completed does not reach the bytes of the blob', async () => {
  const parts = [await receive(1, first)]
  await store.completeUpload(upload, parts)
  await store.copy(upload.key, blobKey(parseDigest(`sha256:${sha256(first)}`)))
  await receive(2, second)
  await receive(1, last)
  expect(sha256(await contents())).toBe(sha256(first))
  // Nor after a restart between the copy and the note of it.
  store = await open()
  await receive(2, second)
  expect(sha256(await contents())).toBe(sha256(first))
})

test('a part that is still coming when the upload is completed does not change the blob', async () => {
  const parts = [await receive(1, first)]
  let goOn = () => {}
  const waiting = new Promise<void>((resolve) => (goOn = resolve))
  async function* slow() {
    await waiting
    yield new Uint8Array(second)
  }
  const late = store.receivePart(upload, 2, { source: slow(), sizeBytes: second.byteLength })
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect((await store.completeUpload(upload, parts)).sizeBytes).toBe(first.byteLength)
  goOn()
  await late
  expect(sha256(await contents())).toBe(sha256(first))
})

test('after a restart the parts are still known, and the next goes behind them', async () => {
  const one = await receive(1, first)
  store = await open()
  const two = await receive(2, second)
  const done = await store.completeUpload(upload, [one, two])
  expect(done).toEqual({ sizeBytes: 6_000_000 })
  expect(sha256(await contents())).toBe(sha256(first, second))
})

test('a part that broke off may come again in its place', async () => {
  async function* broken() {
    yield new Uint8Array(first)
    throw new Error('the wire broke')
  }
  const size = { sizeBytes: first.byteLength }
  await expect(store.receivePart(upload, 1, { source: broken(), ...size })).rejects.toThrow('the wire broke')
  const done = await store.completeUpload(upload, [await receive(1, second)])
  expect(done).toEqual({ sizeBytes: 3_000_000, sha256Hex: sha256(second) })
})

test('a part that was sent again counts, and the first of its number does not', async () => {
  const old = await receive(1, first)
  const parts = [await receive(1, last), await receive(2, second)]
  await expect(store.completeUpload(upload, [old])).rejects.toMatchObject({ code: 'parts_missing' })
  const done = await store.completeUpload(upload, parts)
  expect(done).toEqual({ sizeBytes: 3_000_017, sha256Hex: sha256(last, second) })
  expect((await readdir(join(folder, 'uploads/one'))).filter((name) => name.startsWith('1.'))).toHaveLength(1)
})

test('parts that another program linked are left alone', async () => {
  await receive(1, first)
  await link(inUpload('parts'), join(folder, 'elsewhere'))
  store = await open()
  await receive(2, second)
  expect(sha256(await readFile(join(folder, 'elsewhere')))).toBe(sha256(first))
})
