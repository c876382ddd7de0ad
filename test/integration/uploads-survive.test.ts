import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { digestOfBytes } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { clientOf, errorOf, mebibyte, OneUpload, pulled, ways } from './one-upload.ts'

const repository = 'alice.test/survivor'

/** Goal: an upload outlives its client, the AppView and the hold. Method: end each of them in the middle, and go on. */
describe.each(ways)('an upload, $uploadMode, to $storage', ({ uploadMode, storage }) => {
  let network: TestNetwork
  let aheadMs = 0

  beforeAll(async () => {
    network = await TestNetwork.create({ uploadMode, storage, now: () => new Date(Date.now() + aheadMs) })
  })
  afterAll(() => network?.[Symbol.asyncDispose]())
  beforeEach(() => {
    aheadMs = 0
    network.faults.clear()
    network.calls.reset()
  })

  async function expectPulled(bytes: Buffer, from = repository): Promise<void> {
    const found = await pulled(network, from, digestOfBytes(bytes))
    expect(found?.equals(bytes)).toBe(true)
  }

  /** Goes on after `arrivedBytes` bytes to the end. */
  async function goOn(upload: OneUpload, bytes: Buffer, arrivedBytes: number): Promise<void> {
    const rest = bytes.subarray(arrivedBytes)
    expect((await upload.patch(rest, arrivedBytes)).status).toBe(202)
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectPulled(bytes)
  }

  test('goes on after its client died in the middle of a PATCH', async () => {
    const bytes = randomBytes(20 * mebibyte)
    const upload = await OneUpload.begin(network, repository)
    await upload.dieSending(bytes.subarray(0, 17 * mebibyte), bytes.length)
    const arrivedBytes = await upload.arrivedBytes()
    expect(arrivedBytes).toBeLessThanOrEqual(17 * mebibyte)
    const status = await upload.status()
    expect(new URL(status.headers.get('location') ?? '', network.appview.url).href).toBe(upload.url)
    await goOn(upload, bytes, arrivedBytes)
  })

  test('goes on after its client died twice, and everything was started anew', async () => {
    const bytes = randomBytes(12 * mebibyte)
    const upload = await OneUpload.begin(network, repository)
    await upload.dieSending(bytes.subarray(0, 9 * mebibyte), bytes.length)
    const first = await upload.arrivedBytes()
    await network.restartHold()
    await network.restartAppView()
    await upload.dieSending(bytes.subarray(first, first + 100_000), bytes.length - first)
    await goOn(upload, bytes, await upload.arrivedBytes(first))
  })

  test.each(['AppView', 'hold'] as const)(
    'goes on after a restart of the %s; a lie is found out',
    async (which) => {
      const restart = () => (which === 'hold' ? network.restartHold() : network.restartAppView())
      const bytes = randomBytes(9 * mebibyte)
      const [honest, lying] = [
        await OneUpload.begin(network, repository),
        await OneUpload.begin(network, repository),
      ]
      for (const upload of [honest, lying]) {
        expect((await upload.patch(bytes.subarray(0, 8 * mebibyte + 5), 0)).status).toBe(202)
      }
      await restart()
      expect((await honest.status()).headers.get('range')).toBe(`0-${8 * mebibyte + 4}`)
      await goOn(honest, bytes, 8 * mebibyte + 5)
      const claimed = digestOfBytes(randomBytes(10))
      expect(await errorOf(await lying.finish(claimed))).toEqual([400, 'DIGEST_INVALID'])
      expect(await pulled(network, repository, claimed)).toBeUndefined()
      expect(await errorOf(await lying.status())).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
    },
  )

  test('small, in three chunks, goes on after a restart of both between them', async () => {
    const bytes = randomBytes(3000)
    const upload = await OneUpload.begin(network, repository)
    for (const from of [0, 1000, 2000]) {
      expect((await upload.patch(bytes.subarray(from, from + 1000), from)).status).toBe(202)
      await network.restartHold()
      await network.restartAppView()
    }
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectPulled(bytes)
  })

  test('that nobody goes on with is forgotten after a day, with what it stored', async () => {
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(randomBytes(9 * mebibyte))).status).toBe(202)
    const { context } = network.hold
    const { path } = context.config.storage
    const abandoned = async () => (path === undefined ? [] : readdir(join(path, 'uploads')))
    if (storage === 'filesystem') expect(await abandoned()).not.toEqual([])
    network.calls.reset()
    aheadMs = 25 * 3_600_000
    await network.appview.context.blobUploads.sweep()
    await context.uploads.expire()
    aheadMs = 0
    expect(await errorOf(await upload.status())).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
    expect(await errorOf(await upload.patch(randomBytes(5)))).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
    expect(await abandoned()).toEqual([])
    if (storage === 's3') expect(network.calls.count({ to: 's3', method: 'DELETE' })).toBeGreaterThan(0)
    expect(
      await context.database.selectFrom('uploads').where('state', '=', 'open').selectAll().execute(),
    ).toEqual([])
  })

  test('is unknown to other accounts and in other repositories', async () => {
    const bytes = randomBytes(1000)
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes)).status).toBe(202)
    const id = uploadMode === 'relay' ? (upload.url.split('/').at(-1) as string) : await directUploadId()
    for (const [who, where] of [
      ['alice', 'alice.test/other'],
      ['bob', 'bob.test/survivor'],
      // In direct mode the upload is at the hold, and nowhere here.
      ...(uploadMode === 'direct' ? [['alice', repository] as const] : []),
    ] as const) {
      const client = clientOf(network, who)
      const url = `/v2/${where}/blobs/uploads/${id}`
      for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
        const init = method === 'PATCH' ? { body: new Uint8Array(bytes) } : {}
        const target = method === 'PUT' ? `${url}?digest=${digestOfBytes(bytes)}` : url
        const answer = await client.request(method, target, init)
        expect([who, where, method, ...(await errorOf(answer))]).toEqual([
          who,
          where,
          method,
          404,
          'BLOB_UPLOAD_UNKNOWN',
        ])
      }
    }
    const bob = await clientOf(network, 'bob').request('GET', `/v2/${repository}/blobs/uploads/${id}`)
    expect([401, 403]).toContain(bob.status)
    expect((await upload.status()).headers.get('range')).toBe('0-999')
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectPulled(bytes)
  })

  /** The AppView's own number of an upload that it handed to the hold, which no client is told to use. */
  async function directUploadId(): Promise<string> {
    const { db } = network.appview.context
    const row = await db
      .selectFrom('uploads')
      .select('id')
      .orderBy('created_at', 'desc')
      .executeTakeFirstOrThrow()
    return row.id
  }

  test('takes one PATCH at a time, and the digest is right', async () => {
    const bytes = randomBytes(mebibyte)
    const upload = await OneUpload.begin(network, repository)
    const answers = await Promise.all([upload.patch(bytes, 0), upload.patch(bytes, 0)])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([202, 416])

    const [large, release] = [randomBytes(20 * mebibyte), Promise.withResolvers<void>()]
    network.calls.reset()
    const first = upload.stream(
      (async function* () {
        yield large
        await release.promise
        yield bytes
      })(),
    )
    const holdUploadId = (await upload.status()).headers.get('docker-upload-uuid') ?? ''
    const isUnderWay = () =>
      uploadMode === 'direct'
        ? network.hold.context.uploads.isBusy(holdUploadId)
        : network.calls.count({ from: 'appview', method: 'PUT' }) > 0
    await expect.poll(isUnderWay, { timeout: 20_000 }).toBe(true)
    const refused = await upload.patch(bytes.subarray(0, 10))
    const location = new URL(refused.headers.get('location') ?? '', network.appview.url).href
    expect([location, refused.headers.get('range')]).toEqual([upload.url, `0-${mebibyte - 1}`])
    expect(await errorOf(refused)).toEqual([416, 'RANGE_INVALID'])
    release.resolve()
    expect((await first).status).toBe(202)
    const whole = Buffer.concat([bytes, large, bytes])
    expect((await upload.finish(digestOfBytes(whole))).status).toBe(201)
    await expectPulled(whole)
  })

  test('tells a chunk in the wrong place where the right one is', async () => {
    const bytes = randomBytes(400_000)
    const upload = await OneUpload.begin(network, repository)
    const wrong = async (from: number, wanted: string) => {
      const answer = await upload.patch(bytes.subarray(from, from + 1000), from)
      const location = new URL(answer.headers.get('location') ?? '', network.appview.url).href
      expect([from, location, answer.headers.get('range')]).toEqual([from, upload.url, wanted])
      expect(await errorOf(answer)).toEqual([416, 'RANGE_INVALID'])
    }
    await wrong(1000, '0-0')
    expect((await upload.patch(bytes.subarray(0, 300_000), 0)).status).toBe(202)
    for (const from of [0, 299_999, 300_001, 390_000]) await wrong(from, '0-299999')
    expect((await upload.status()).headers.get('range')).toBe('0-299999')
    await goOn(upload, bytes, 300_000)
  })
})
