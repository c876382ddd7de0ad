import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'

import { blobKey, uploadKey } from '../../src/hold/storage/blob-keys.ts'
import { S3BlobStore } from '../../src/hold/storage/s3-blob-store.ts'
import { Secret } from '../../src/lib/secret.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { digestOfBytes } from '../../src/protocol/oci/digest.ts'
import { Gates } from '../network/faults.ts'
import { S3StandIn } from '../network/s3.ts'

/** What S3 takes at least for a part: the limit above which a copy is made of pieces is lowered to it. */
const pieceBytes = 5 * 1024 * 1024
const credentials = { accessKey: 'AKTEST', secretKey: 'secret-of-the-test', region: 'us-east-1' }
const from = uploadKey('a-large-upload')

let stack: AsyncDisposableStack
let gates: Gates
let store: S3BlobStore

beforeAll(async () => {
  stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'atcr-copy-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const server = stack.use(await S3StandIn.start({ folder, credentials, buckets: ['blobs'] }))
  gates = new Gates()
  gates.install(server.server, 's3')
  store = stack.use(
    new S3BlobStore({
      bucket: 'blobs',
      region: credentials.region,
      endpoint: server.url,
      accessKey: credentials.accessKey,
      secretKey: new Secret(credentials.secretKey),
      usesPathStyle: true,
      pullZone: null,
      copyPieceBytes: pieceBytes,
    }),
  )
})
afterAll(() => stack[Symbol.asyncDispose]())
beforeEach(() => {
  gates.faults.clear()
  gates.calls.reset()
})

test.each([
  [pieceBytes, 1, 'in one call'],
  [pieceBytes + 1, 2, 'in pieces, the last of one byte'],
  [6 * pieceBytes - 7, 6, 'in more pieces than are under way at once'],
])('%i bytes are copied by the store with %i PUTs, %s', async (sizeBytes, putCount) => {
  const bytes = randomBytes(sizeBytes)
  const to = blobKey(digestOfBytes(bytes))
  await store.put(from, bytes)
  gates.calls.reset()
  await store.copy(from, to)
  expect(gates.calls.count({ method: 'PUT' })).toBe(putCount)
  expect(gates.calls.count({ method: 'GET' })).toBe(0)
  const copied = await collectBytes(await store.open(to), sizeBytes)
  expect(bytes.equals(copied)).toBe(true)
})

test('a piece that fails once is copied again; one that fails for good leaves nothing', async () => {
  const bytes = randomBytes(3 * pieceBytes)
  const to = blobKey(digestOfBytes(bytes))
  await store.put(from, bytes)
  const fault = gates.faults.add({ method: 'PUT', kind: 'error', status: 403, body: '', times: 1 })
  await expect(store.copy(from, to)).rejects.toMatchObject({ code: 'storage_failed' })
  expect(fault.count).toBe(1)
  expect(gates.calls.count({ method: 'DELETE' })).toBe(1)
  expect(await store.findSize(to)).toBeUndefined()
  const passing = gates.faults.add({ method: 'PUT', kind: 'error', status: 500, body: '', times: 2 })
  await store.copy(from, to)
  expect(passing.count).toBe(2)
  expect(bytes.equals(await collectBytes(await store.open(to), bytes.length))).toBe(true)
})
