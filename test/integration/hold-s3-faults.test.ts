import { afterEach, beforeEach, expect, test } from 'vitest'

import { mebibyte } from './one-upload.ts'
import { digestOf, patterned, TestHold } from './test-hold.ts'

/** Goal: whatever S3 does, an upload ends well or is told to try again, and bytes are right. Method: faults before S3. */

let hold: TestHold

beforeEach(async () => {
  hold = await TestHold.start({ driver: 's3', isPublic: true })
})
afterEach(() => hold[Symbol.asyncDispose]())

const xmlError = (code: string) => ({
  headers: { 'content-type': 'application/xml' },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>from the test at /srv/s3</Message></Error>`,
})
const completion = { to: 's3', method: 'POST', path: /\/uploads\// } as const
const part = { to: 's3', method: 'PUT', path: /\/uploads\// } as const

async function begin(): Promise<string> {
  const as = hold.accounts.captain
  const { status, body } = await hold.call('io.atcr.hold.initiateUpload', { as, input: { digest: 'uploads/x', direct: true } }) // prettier-ignore
  expect(status).toBe(200)
  return String(body['uploadUrl']).replace('localhost', '127.0.0.1')
}

const send = (method: string, url: string, bytes?: Buffer) =>
  fetch(url, { method, ...(bytes === undefined ? {} : { body: new Uint8Array(bytes) }) })

/** An error of the protocol that says nothing of S3. */
async function expectRefused(response: Response, status: number, code: string): Promise<void> {
  const text = await response.text()
  expect([response.status, text]).toEqual([status, expect.stringContaining(`"code":"${code}"`)])
  if (status === 503) expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(text).not.toMatch(/srv|127\.0\.0\.2|InternalError|InvalidPart|SlowDown|<|AKTEST/)
}

test.each([
  ['a 500', { status: 500, ...xmlError('InternalError') }],
  ['a 503 that asks to slow down', { status: 503, ...xmlError('SlowDown') }],
  // S3 begins to answer before it knows: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
  ['an error that says 200', { status: 200, ...xmlError('InternalError') }],
])('a completion answered with %s is tried again, by the hold and by the client', async (_, answer) => {
  const bytes = patterned(9 * mebibyte, 1)
  const url = await begin()
  expect((await send('PATCH', url, bytes)).status).toBe(202)
  const finish = () => send('PUT', `${url}?digest=${digestOf(bytes)}`)
  {
    using fault = hold.faults.add({ ...completion, kind: 'error', ...answer })
    await expectRefused(await finish(), 503, 'UNAVAILABLE')
    expect(fault.count).toBeGreaterThan(1)
    expect(await hold.download(digestOf(bytes))).toBeUndefined()
  }
  using once = hold.faults.add({ ...completion, kind: 'error', ...answer, times: 1 })
  expect((await finish()).status).toBe(201)
  expect(once.count).toBe(1)
  expect(await hold.download(digestOf(bytes))).toEqual(bytes)
})

test('a part whose ETag is not the one that S3 has', async () => {
  const bytes = patterned(9 * mebibyte, 2)
  const url = await begin()
  {
    const headers = { etag: '"00000000000000000000000000000000"' }
    using _lie = hold.faults.add({ ...part, kind: 'error', status: 200, headers, body: '', times: 1 })
    expect((await send('PATCH', url, bytes)).status).toBe(202)
  }
  await expectRefused(await send('PUT', `${url}?digest=${digestOf(bytes)}`), 400, 'BLOB_UPLOAD_INVALID')
  expect(await hold.download(digestOf(bytes))).toBeUndefined()
  const again = await begin()
  expect((await send('PUT', `${again}?digest=${digestOf(bytes)}`, bytes)).status).toBe(201)
  expect(await hold.download(digestOf(bytes))).toEqual(bytes)
})

test('a store that does not answer whether it has a blob is not one that has it not', async () => {
  const params = { did: 'did:plc:someone', cid: digestOf(Buffer.from('unknown')) }
  {
    using _fault = hold.faults.add({ to: 's3', method: 'HEAD', kind: 'error', status: 500 })
    const { status, headers, body } = await hold.call('com.atproto.sync.getBlob', { params })
    expect(status).toBe(503)
    expect(headers.get('retry-after')).not.toBeNull()
    expect(JSON.stringify(body)).not.toContain('127.0.0.2')
  }
  expect((await hold.call('com.atproto.sync.getBlob', { params })).status).toBe(404)
})

test('a slow part does not stop others, and is waited for', async () => {
  const [slow, quick] = [patterned(9 * mebibyte, 3), patterned(9 * mebibyte, 4)]
  const release = Promise.withResolvers<void>()
  using fault = hold.faults.add({ ...part, kind: 'delay', until: release.promise, times: 1 })
  const [first, second] = [await begin(), await begin()]
  const waiting = send('PATCH', first, slow)
  await expect.poll(() => fault.count, { timeout: 20_000 }).toBe(1)
  expect((await send('PATCH', second, quick)).status).toBe(202)
  expect((await send('PUT', `${second}?digest=${digestOf(quick)}`)).status).toBe(201)
  release.resolve()
  expect((await waiting).status).toBe(202)
  expect((await send('PUT', `${first}?digest=${digestOf(slow)}`)).status).toBe(201)
  for (const bytes of [slow, quick]) expect(await hold.download(digestOf(bytes))).toEqual(bytes)
})
