import { open, readdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

import { verifyRepoCar } from '@atproto/repo'
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { isDiskFull, openDatabase } from '../../src/lib/database.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { digestOf, patterned, TestHold } from './test-hold.ts'

/**
 * Goal: a full disk is said clearly, leaves nothing half-there, and is forgotten once there is room. Method: files get ENOSPC
 * from where the kernel's answer would come, after the bytes that still fit, and SQLite its own limit of pages.
 */

let hold: TestHold

beforeEach(async () => {
  hold = await TestHold.start({ isPublic: true })
})
afterEach(() => hold[Symbol.asyncDispose]())

/** No file of this process takes more than so many bytes, until it is disposed. */
async function fillDisk(freeBytes: number): Promise<Disposable> {
  const sample = await open(process.execPath)
  const prototype = Object.getPrototypeOf(sample) as Pick<FileHandle, 'writev' | 'write'>
  await sample.close()
  const { writev, write } = prototype
  let left = freeBytes
  const full = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', errno: -28, syscall: 'write' }) // prettier-ignore
  prototype.writev = async function (
    this: FileHandle,
    ...[buffers, position]: Parameters<FileHandle['writev']>
  ) {
    const bytes = Buffer.concat(buffers.map((it) => Buffer.from(it.buffer, it.byteOffset, it.byteLength)))
    if (left === 0) throw full()
    const fitting = bytes.subarray(0, left)
    left -= fitting.byteLength
    const { bytesWritten } = await writev.call(this, [fitting], position)
    return { bytesWritten, buffers }
  } as FileHandle['writev']
  prototype.write = () => Promise.reject(full())
  return { [Symbol.dispose]: () => void Object.assign(prototype, { writev, write }) }
}

const captain = () => hold.accounts.captain
const local = (url: unknown) => String(url).replace('localhost', '127.0.0.1')
const files = async () => ({
  tmp: await readdir(join(hold.folder, 'blobs/tmp')),
  stored: (await readdir(join(hold.folder, 'blobs/docker'), { recursive: true }).catch(() => [])).filter((name) => name.endsWith('data')), // prettier-ignore
})

/** Told by the digest: of megabytes that differ, a list of the differences takes minutes. */
async function expectWhole(bytes: Buffer): Promise<void> {
  const found = await hold.download(digestOf(bytes))
  expect(found && digestOf(found)).toBe(digestOf(bytes))
}

async function begin(input: object): Promise<Record<string, unknown>> {
  const { status, body } = await hold.call('io.atcr.hold.initiateUpload', { as: captain(), input: { digest: 'uploads/x', ...input } }) // prettier-ignore
  expect(status).toBe(200)
  return body
}

/** 503 in the words of OCI, to be tried again later, and without a word of how this machine looks inside. */
async function expectFull(response: Response): Promise<void> {
  expect(response.status).toBe(503)
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  const text = await response.text()
  expect(JSON.parse(text)).toEqual({
    errors: [expect.objectContaining({ code: 'UNAVAILABLE', message: 'the disk of this hold is full' })],
  })
  expect(text).not.toMatch(/ENOSPC|\/tmp\/|syscall|SQLITE|\bat /)
}

test('a direct upload to a full disk goes on where it was once there is room', async () => {
  const bytes = patterned(3_000_000, 1)
  const url = local((await begin({ direct: true }))['uploadUrl'])
  expect((await fetch(url, { method: 'PATCH', body: new Uint8Array(bytes.subarray(0, 500_000)) })).status).toBe(202)
  const rest = new Uint8Array(bytes.subarray(500_000))
  const put = () => fetch(`${url}?digest=${digestOf(bytes)}`, { method: 'PUT', body: rest })
  {
    using _full = await fillDisk(1_200_000)
    await expectFull(await put())
    await expectFull(await fetch(url, { method: 'PATCH', body: rest }))
    expect((await fetch(url)).headers.get('range')).toBe('0-499999')
    expect(await files()).toEqual({ tmp: [], stored: [] })
    expect(await hold.download(digestOf(bytes))).toBeUndefined()
  }
  expect((await put()).status).toBe(201)
  await expectWhole(bytes)
  expect((await files()).tmp).toEqual([])
}) // prettier-ignore

test('a relayed upload: its parts, and putting them together', async () => {
  const bytes = patterned(2_000_000, 2)
  const { uploadId } = await begin({})
  const put = async (partNumber: number, piece: Buffer) => {
    const { body } = await hold.call('io.atcr.hold.getPartUploadUrl', { as: captain(), input: { uploadId, partNumber } }) // prettier-ignore
    return fetch(local(body['url']), { method: 'PUT', body: new Uint8Array(piece) })
  }
  const parts: { partNumber: number; etag: string }[] = []
  const kept = async (partNumber: number, response: Response) => {
    expect(response.status).toBe(200)
    parts.push({ partNumber, etag: response.headers.get('etag') ?? '' })
  }
  await kept(1, await put(1, bytes.subarray(0, 1_000_000)))
  {
    using _full = await fillDisk(300_000)
    await expectFull(await put(2, bytes.subarray(1_000_000)))
  }
  // Once more: parts that came once and in order lie in one file, which takes no room to become a blob.
  expect((await put(2, bytes.subarray(1_000_000))).status).toBe(200)
  await kept(2, await put(2, bytes.subarray(1_000_000)))
  const complete = () =>
    hold.call('io.atcr.hold.completeUpload', { as: captain(), input: { uploadId, digest: digestOf(bytes), parts } })
  {
    using _full = await fillDisk(1_500_000)
    const { status, body, headers } = await complete()
    expect(status).toBe(503)
    expect(headers.get('retry-after')).not.toBeNull()
    expect(body).toEqual({ error: 'CompletionFailed', message: 'the disk of this hold is full' })
    expect(await files()).toEqual({ tmp: [], stored: [] })
  }
  expect((await complete()).status).toBe(200)
  await expectWhole(bytes)
}) // prettier-ignore

test('putting together what came in order takes no room', async () => {
  const bytes = patterned(2_000_000, 3)
  const { uploadId } = await begin({})
  const parts: { partNumber: number; etag: string }[] = []
  for (const partNumber of [1, 2]) {
    const { body } = await hold.call('io.atcr.hold.getPartUploadUrl', { as: captain(), input: { uploadId, partNumber } }) // prettier-ignore
    const piece = bytes.subarray((partNumber - 1) * 1_000_000, partNumber * 1_000_000)
    const response = await fetch(local(body['url']), { method: 'PUT', body: new Uint8Array(piece) })
    parts.push({ partNumber, etag: response.headers.get('etag') ?? '' })
  }
  using _full = await fillDisk(0)
  const input = { uploadId, digest: digestOf(bytes), parts }
  const { status } = await hold.call('io.atcr.hold.completeUpload', { as: captain(), input })
  expect(status).toBe(200)
  await expectWhole(bytes)
}) // prettier-ignore

test('a database without room: nothing is acknowledged that is not kept, and it goes on afterwards', async () => {
  const { database, repo } = hold.running.context
  const url = local((await begin({ direct: true }))['uploadUrl'])
  const blob = patterned(100, 3)
  expect((await fetch(`${url}?digest=${digestOf(blob)}`, { method: 'PUT', body: new Uint8Array(blob) })).status).toBe(201) // prettier-ignore
  const notify = (number: number) => {
    const manifest = { schemaVersion: 2, number, config: { digest: digestOf(blob), mediaType: 'x/y', size: 100 }, layers: [] } // prettier-ignore
    const manifestDigest = digestOf(Buffer.from(JSON.stringify(manifest)))
    const input = { operation: 'push', repository: 'app', userDid: captain().did, manifestDigest, manifest }
    return hold.call('io.atcr.hold.notifyManifest', { as: captain(), input })
  }
  // It cannot be made smaller than it is: that is how full it is.
  await sql`pragma max_page_count = 1`.execute(database)
  let accepted = 0
  let refused = await notify(0)
  while (refused.status === 200 && accepted < 2000) refused = await notify(++accepted)
  expect(refused.status).toBe(503)
  expect(refused.headers.get('retry-after')).not.toBeNull()
  expect(refused.body['message']).toBe('the disk of this hold is full')
  expect(JSON.stringify(refused.body)).not.toMatch(/SQLITE|database or disk|errcode/)
  // What is only read still works.
  expect(await hold.download(digestOf(blob))).toEqual(blob)

  await sql`pragma max_page_count = 1000000`.execute(database)
  const again = await notify(accepted)
  expect(again.status).toBe(200)
  // One record for each that was answered; the one that was refused is there once.
  expect(await repo.countRecords('io.atcr.hold.layer')).toBe(accepted + 1)
  const car = await collectBytes(repo.exportCar(), 50_000_000)
  const { signingKey, did } = hold.running.context.identity
  expect((await verifyRepoCar(car, did, signingKey.did())).creates).toHaveLength(await repo.countRecords())
  const events = await database.selectFrom('repo_events').select('seq').orderBy('seq').execute()
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
})

test('a full database is told from other failures, and a transaction in it says why it failed', async () => {
  const database = await openDatabase<{ t: { a: string } }>({ path: join(hold.folder, 'other.db') }, {})
  await sql`create table t (a text)`.execute(database)
  await sql`pragma max_page_count = 1`.execute(database)
  const failure: unknown = await sql`insert into t select hex(randomblob(100000))`.execute(database).catch((error: unknown) => error) // prettier-ignore
  expect(isDiskFull(failure)).toBe(true)
  const rolledBack: unknown = await database
    .transaction()
    .execute((transaction) => sql`insert into t select hex(randomblob(100000))`.execute(transaction))
    .catch((error: unknown) => error)
  expect(isDiskFull(rolledBack)).toBe(true)
  expect(isDiskFull(new Error('full'))).toBe(false)
  await database.destroy()
})
