import { randomBytes } from 'node:crypto'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import { collectBytes } from '../../src/lib/streams.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { digestOfBytes, imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { digestOf } from './test-hold.ts'
import { clientOf, errorOf, mebibyte, OneUpload, pulled, ways } from './one-upload.ts'

const repository = 'alice.test/victim'

interface PartUrl {
  url: string
}

/**
 * Goal: nobody makes a hold give out other bytes under a digest. Method: bob, crew like anybody, tries everything that
 * he can reach: the AppView, the hold's methods, and the URLs that they hand him.
 */
describe.each(ways)('a digest cannot be poisoned, $uploadMode, on $storage', ({ uploadMode, storage }) => {
  let network: TestNetwork
  let session: { did: string; accessJwt: string }

  beforeAll(async () => {
    network = await TestNetwork.create({ uploadMode, storage })
    // Makes him crew.
    await clientOf(network, 'bob').pushImage('bob.test/app', imageOfFiles({ hello: 'bob' }), 'v1')
    const { handle, appPassword } = network.accounts.bob
    session = await pds('com.atproto.server.createSession', {
      body: JSON.stringify({ identifier: handle, password: appPassword }),
      headers: { 'content-type': 'application/json' },
      method: 'POST',
    })
  })
  afterAll(() => network?.[Symbol.asyncDispose]())
  beforeEach(() => network.calls.reset())

  async function pds<T>(method: string, init: RequestInit): Promise<T> {
    const response = await fetch(`${network.pds.url}/xrpc/${method}`, init)
    expect(response.status).toBe(200)
    return (await response.json()) as T
  }

  /** Calls a method of the hold as bob; the error's name instead of an answer when it refuses. */
  async function asBob<T>(name: string, input: object): Promise<T | { error: string }> {
    const nsid = `io.atcr.hold.${name}`
    const query = new URLSearchParams({ aud: network.hold.did, lxm: nsid }).toString()
    const authorization = `Bearer ${session.accessJwt}`
    const { token } = await pds<{ token: string }>(`com.atproto.server.getServiceAuth?${query}`, { headers: { authorization } }) // prettier-ignore
    const response = await fetch(`${network.hold.url}/xrpc/${nsid}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(input),
    })
    return (await response.json()) as T | { error: string }
  }

  const begin = async (digest: string) =>
    ((await asBob('initiateUpload', { digest })) as { uploadId: string }).uploadId
  const partUrl = async (uploadId: string, partNumber = 1) =>
    ((await asBob('getPartUploadUrl', { uploadId, partNumber })) as PartUrl).url
  const put = (url: string, bytes: Buffer) => fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })
  const putPart = async (url: string, bytes: Buffer) => {
    const answer = await put(url, bytes)
    expect(answer.status).toBe(200)
    return { partNumber: 1, etag: answer.headers.get('etag') ?? '' }
  }
  const complete = (uploadId: string, digest: string, parts: object[]) =>
    asBob<object>('completeUpload', { uploadId, digest, parts })

  /** Nobody gets anything under the digest, then alice uploads it, and everybody gets what she sent. */
  async function expectUnharmed(bytes: Buffer): Promise<void> {
    const digest = parseDigest(digestOfBytes(bytes))
    expect(await network.hold.context.blobs.find(digest)).toBeUndefined()
    expect(await network.hold.context.store.findSize(blobKey(digest))).toBeUndefined()
    expect(await pulled(network, repository, digest)).toBeUndefined()
    await push(bytes)
    await expectRight(bytes)
  }

  async function push(bytes: Buffer): Promise<void> {
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.finish(digestOfBytes(bytes), bytes)).status).toBe(201)
  }

  async function expectRight(bytes: Buffer): Promise<void> {
    await network.hold.context.jobs.settle.idle()
    const found = await pulled(network, repository, digestOfBytes(bytes))
    expect(found?.equals(bytes)).toBe(true)
  }

  test.each([1000, 9 * mebibyte])('by other bytes through the registry, %i of them', async (size) => {
    const [bytes, garbage] = [randomBytes(size), randomBytes(size)]
    const digest = digestOfBytes(bytes)
    const whole = await OneUpload.begin(network, 'bob.test/app', 'bob')
    expect(await errorOf(await whole.finish(digest, garbage))).toEqual([400, 'DIGEST_INVALID'])
    const pieces = await OneUpload.begin(network, 'bob.test/app', 'bob')
    expect((await pieces.patch(garbage)).status).toBe(202)
    expect(await errorOf(await pieces.finish(digest))).toEqual([400, 'DIGEST_INVALID'])
    // Broken off under the right name, gone on with after a restart that forgot the hash.
    const broken = await OneUpload.begin(network, 'bob.test/app', 'bob')
    await broken.dieSending(garbage.subarray(0, size - 1), size, 'PUT', `?digest=${digest}`)
    await broken.arrivedBytes()
    await network.restartHold()
    expect((await broken.finish(digest)).status).toBeGreaterThanOrEqual(400)
    await expectUnharmed(bytes)
    const again = await OneUpload.begin(network, 'bob.test/app', 'bob')
    expect(await errorOf(await again.finish(digest, garbage))).toEqual([400, 'DIGEST_INVALID'])
    await expectRight(bytes)
  })

  test.each([1000, 9 * mebibyte])('by other bytes put straight into the store, %i of them', async (size) => {
    const [bytes, garbage] = [randomBytes(size), randomBytes(size)]
    const digest = digestOfBytes(bytes)
    const uploadId = await begin(digest)
    const part = await putPart(await partUrl(uploadId), garbage)
    expect(await complete(uploadId, digest, [part])).toMatchObject({ error: 'InvalidDigest' })
    expect(await complete(uploadId, digest, [part])).toMatchObject({ error: 'InvalidUploadId' })
    await expectUnharmed(bytes)
    // The same where the blob is already.
    const second = await begin(digest)
    const wrong = await putPart(await partUrl(second), garbage)
    expect(await complete(second, digest, [wrong])).toMatchObject({ error: 'InvalidDigest' })
    await expectRight(bytes)
  })

  test('by a part that changes before, while and after the upload is completed', async () => {
    const [bytes, garbage] = [randomBytes(9 * mebibyte), randomBytes(9 * mebibyte)]
    const digest = digestOfBytes(bytes)
    const uploadId = await begin(digest)
    const url = await partUrl(uploadId)
    const right = await putPart(url, bytes)
    await putPart(url, garbage)
    expect(await complete(uploadId, digest, [right])).toMatchObject({ error: 'MissingParts' })
    await putPart(url, bytes)
    // Whatever comes of the race: right bytes, or none.
    const [completed] = await Promise.all([
      complete(uploadId, digest, [right]),
      put(url, garbage),
      put(url, garbage),
    ])
    const isThere = (await network.hold.context.blobs.find(parseDigest(digest))) !== undefined
    expect(isThere).toBe(!('error' in completed))
    if (isThere) {
      expect((await put(url, garbage)).status).toBeGreaterThanOrEqual(400)
      expect(await asBob('getPartUploadUrl', { uploadId, partNumber: 1 })).toMatchObject({
        error: 'InvalidUploadId',
      })
    }
    await push(bytes)
    await expectRight(bytes)
    expect(await complete(uploadId, digestOfBytes(garbage), [right])).toHaveProperty('error')
    await expectRight(bytes)
  })

  test('by the URL of a part, used again after the upload or bent to other places', async () => {
    const [bytes, garbage] = [randomBytes(9 * mebibyte), randomBytes(9 * mebibyte)]
    const digest = digestOfBytes(bytes)
    const uploadId = await begin('uploads/anything')
    const url = await partUrl(uploadId)
    const completed = await complete(uploadId, digest, [await putPart(url, bytes)])
    expect(completed).toMatchObject({ status: 'completed', digest })
    await push(bytes)
    await network.hold.context.jobs.settle.idle()
    const target = new URL(url)
    const bent = [url]
    for (const key of target.searchParams.keys()) {
      const other = new URL(url)
      other.searchParams.delete(key)
      bent.push(other.href)
    }
    const elsewhere = storage === 's3' ? `/atcr/${blobKey(parseDigest(digest))}` : `/blobs/${digest}`
    bent.push(new URL(elsewhere + target.search, url).href)
    for (const wanted of bent) {
      const answer = await put(wanted, garbage)
      expect([wanted, answer.status >= 400 && answer.status < 500]).toEqual([wanted, true])
    }
    await expectRight(bytes)
    const fresh = await pulled(network, repository, digest)
    expect(fresh?.equals(bytes)).toBe(true)
  })

  test('by other bytes under a sha512', async () => {
    const [bytes, garbage] = [randomBytes(9 * mebibyte), randomBytes(9 * mebibyte)]
    const digest = digestOf(bytes, 'sha512')
    const uploadId = await begin(digest)
    const wrong = await putPart(await partUrl(uploadId), garbage)
    expect(await complete(uploadId, digest, [wrong])).toMatchObject({ error: 'InvalidDigest' })
    const whole = await OneUpload.begin(network, 'bob.test/app', 'bob')
    expect(await errorOf(await whole.finish(digest, garbage))).toEqual([400, 'DIGEST_INVALID'])
    const pieces = await OneUpload.begin(network, 'bob.test/app', 'bob')
    expect((await pieces.patch(garbage)).status).toBe(202)
    expect(await errorOf(await pieces.finish(digest))).toEqual([400, 'DIGEST_INVALID'])
    expect(await network.hold.context.blobs.find(parseDigest(digest))).toBeUndefined()
    expect(await network.hold.context.store.findSize(blobKey(parseDigest(digest)))).toBeUndefined()
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.finish(digest, bytes)).status).toBe(201)
    await network.hold.context.jobs.settle.idle()
    expect((await pulled(network, repository, digest))?.equals(bytes)).toBe(true)
  })

  test('by a digest that was announced, and another that is completed', async () => {
    const [bytes, garbage] = [randomBytes(9 * mebibyte), randomBytes(9 * mebibyte)]
    const digest = digestOf(bytes)
    const uploadId = await begin(digest)
    const part = await putPart(await partUrl(uploadId), garbage)
    // What it is may be told at the end; the announcement is worth nothing.
    expect(await complete(uploadId, digestOf(garbage), [part])).toMatchObject({ status: 'completed' })
    expect(await complete(uploadId, digest, [part])).toHaveProperty('error')
    await expectUnharmed(bytes)
    await network.hold.context.jobs.settle.idle()
    const found = await network.hold.context.blobs.find(parseDigest(digestOf(garbage)))
    expect(found).toMatchObject({ sizeBytes: garbage.length })
  })

  test('by completions that race for one digest', async () => {
    const [bytes, garbage] = [randomBytes(9 * mebibyte), randomBytes(9 * mebibyte)]
    const digest = digestOf(bytes)
    const uploads = await Promise.all(
      [bytes, garbage, bytes, garbage].map(async (content) => {
        const uploadId = await begin(digest)
        return { uploadId, content, part: await putPart(await partUrl(uploadId), content) }
      }),
    )
    const alice = await OneUpload.begin(network, repository)
    const [pushed, ...answers] = await Promise.all([
      alice.finish(digest, bytes),
      ...uploads.flatMap(({ uploadId, part }) => [
        complete(uploadId, digest, [part]),
        complete(uploadId, digestOf(garbage), [part]),
      ]),
    ])
    expect(pushed.status).toBe(201)
    expect(answers.some((answer) => 'error' in answer)).toBe(true)
    await expectRight(bytes)
    for (const wanted of [bytes, garbage]) {
      const { blobs, store } = network.hold.context
      const blob = await blobs.find(parseDigest(digestOf(wanted)))
      if (blob === undefined) continue
      expect(Buffer.from(await collectBytes(await store.open(blob.key), 10 * mebibyte)).equals(wanted)).toBe(true) // prettier-ignore
    }
  })

  test('by someone else’s upload: bob cannot name, fill or complete alice’s', async () => {
    const bytes = randomBytes(2000)
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes)).status).toBe(202)
    const { database } = network.hold.context
    const { id } = await database.selectFrom('uploads').select('id').where('state', '=', 'open').where('user_did', '=', network.accounts.alice.did).orderBy('created_at', 'desc').executeTakeFirstOrThrow() // prettier-ignore
    for (const [name, input] of [
      ['getPartUploadUrl', { uploadId: id, partNumber: 1 }],
      ['completeUpload', { uploadId: id, digest: digestOfBytes('x'), parts: [{ partNumber: 1, etag: 'x' }] }],
      ['abortUpload', { uploadId: id }],
    ] as const) {
      expect([name, await asBob(name, input)]).toMatchObject([name, { error: 'InvalidUploadId' }])
    }
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectRight(bytes)
  })
})

test('a blob of a private hold cannot be mounted by who may not read it', async () => {
  await using network = await TestNetwork.create({
    hold: { server: { public: false }, registration: { allow_all_crew: false } },
  })
  const bytes = randomBytes(2000)
  const digest = digestOf(bytes)
  const upload = await OneUpload.begin(network, repository)
  expect((await upload.finish(digest, bytes)).status).toBe(201)
  const bob = clientOf(network, 'bob')
  await bob.authorize('bob.test/app', 'pull,push')
  for (const query of [`mount=${digest}&from=${repository}`, `mount=${digest}`]) {
    const answer = await bob.request('POST', `/v2/bob.test/app/blobs/uploads/?${query}`)
    expect([query, answer.status]).not.toEqual([query, 201])
  }
  const head = await bob.request('HEAD', `/v2/bob.test/app/blobs/${digest}`)
  expect(head.status).toBeGreaterThanOrEqual(400)
})
