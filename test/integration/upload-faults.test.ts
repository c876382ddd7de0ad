import { randomBytes } from 'node:crypto'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { CallFilter } from '../network/faults.ts'
import { digestOfBytes } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { errorOf, mebibyte, OneUpload, pulled, ways } from './one-upload.ts'

const repository = 'alice.test/faults'
const serverError = {
  kind: 'error',
  status: 500,
  headers: { 'content-type': 'application/xml' },
  body: '<?xml version="1.0"?><Error><Code>InternalError</Code><Message>try again</Message></Error>',
} as const

/** A test that means nothing in some mode is not there, rather than skipped: a skip says that something is untested. */
const testWhere = (applies: unknown) =>
  applies ? test : (_name: string, _body: () => Promise<void>) => undefined

/** Where parts go, one way or the other; nothing when the hold writes them to its own disk. */
function partsOf({ uploadMode, storage }: (typeof ways)[number]): CallFilter | undefined {
  if (storage === 's3') return { to: 's3', method: 'PUT', path: /^\/atcr\/uploads\// }
  return uploadMode === 'relay' ? { to: 'hold', method: 'PUT', path: /^\/blobs\/uploads\// } : undefined
}

/** Goal: what fails on the way of a blob is tried again or said clearly, and bytes stay right. Method: faults at gates. */
describe.each(ways)('an upload under faults, $uploadMode, to $storage', (way) => {
  const { uploadMode, storage } = way
  const parts = partsOf(way)
  let network: TestNetwork

  beforeAll(async () => {
    network = await TestNetwork.create({ uploadMode, storage })
  })
  afterAll(() => network?.[Symbol.asyncDispose]())
  beforeEach(() => network.calls.reset())
  afterEach(() => network.faults.clear())

  async function expectPulled(bytes: Buffer): Promise<void> {
    const found = await pulled(network, repository, digestOfBytes(bytes))
    expect(found?.equals(bytes)).toBe(true)
  }

  testWhere(parts)('parts that fail or lose their answer are sent again', async () => {
    const bytes = randomBytes(30 * mebibyte)
    const failing = network.faults.add({ ...parts, ...serverError, times: 1 })
    const losing = network.faults.add({ ...parts, kind: 'lose-answer', times: 1 })
    const dropping = network.faults.add({ ...parts, kind: 'drop', times: 1 })
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes)).status).toBe(202)
    expect([failing.count, losing.count, dropping.count]).toEqual([1, 1, 1])
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectPulled(bytes)
  })

  testWhere(parts)('storage that is out for long is a 503, and the upload stays where it was', async () => {
    const bytes = randomBytes(9 * mebibyte)
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes.subarray(0, 1000), 0)).status).toBe(202)
    const fault = network.faults.add({ ...parts, ...serverError })
    const refused = await upload.patch(bytes.subarray(1000), 1000)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await errorOf(refused)).toEqual([503, 'UNAVAILABLE'])
    fault.remove()
    expect((await upload.status()).headers.get('range')).toBe('0-999')
    expect((await upload.patch(bytes.subarray(1000), 1000)).status).toBe(202)
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectPulled(bytes)
  })

  testWhere(parts)('parts go up in parallel, behind a stream that still flows', async () => {
    const [first, last] = [randomBytes(17 * mebibyte), randomBytes(1000)]
    const release = Promise.withResolvers<void>()
    network.faults.add({ ...parts, kind: 'delay', until: release.promise })
    const upload = await OneUpload.begin(network, repository)
    const patched = upload.stream(
      (async function* () {
        yield first
        // No part is answered before two have arrived, and the client has not ended before.
        await expect.poll(() => network.calls.count(parts), { timeout: 20_000 }).toBeGreaterThanOrEqual(2)
        release.resolve()
        yield last
      })(),
    )
    expect((await patched).status).toBe(202)
    const bytes = Buffer.concat([first, last])
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    await expectPulled(bytes)
  })

  testWhere(storage === 's3')('a push ends without waiting for the copy to the blob’s own key', async () => {
    const bytes = randomBytes(9 * mebibyte)
    const digest = digestOfBytes(bytes)
    const copy = { to: 's3', method: 'PUT', path: /^\/atcr\/docker\/registry\// } as const
    const release = Promise.withResolvers<void>()
    const fault = network.faults.add({ ...copy, kind: 'delay', until: release.promise })
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes)).status).toBe(202)
    expect((await upload.finish(digest)).status).toBe(201)
    await expectPulled(bytes)
    await expect.poll(() => fault.count).toBe(1)
    release.resolve()
    await network.hold.context.jobs.settle.idle()
    const keyOf = async () => (await network.hold.context.blobs.find(digest as never))?.key
    expect(await keyOf()).toMatch(/^docker\/registry\//)
    await expectPulled(bytes)

    // One request that names its digest needs no copy at all where the hold sees the bytes.
    network.calls.reset()
    const whole = randomBytes(9 * mebibyte)
    const other = await OneUpload.begin(network, repository)
    expect((await other.finish(digestOfBytes(whole), whole)).status).toBe(201)
    await network.hold.context.jobs.settle.idle()
    await expectPulled(whole)
    const stored = network.calls.list({ to: 's3', method: 'PUT' })
    if (uploadMode === 'direct') expect(stored.every(({ path }) => copy.path.test(path))).toBe(true)
    expect(network.calls.count({ to: 's3', path: copy.path, method: 'PUT' })).toBe(
      uploadMode === 'direct' ? 2 : 1,
    )
  })

  testWhere(storage === 's3')('a lost answer of the store to the completion changes nothing', async () => {
    const bytes = randomBytes(9 * mebibyte)
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes)).status).toBe(202)
    const fault = network.faults.add({ to: 's3', method: 'POST', kind: 'lose-answer', times: 1 })
    expect((await upload.finish(digestOfBytes(bytes))).status).toBe(201)
    expect(fault.count).toBe(1)
    await expectPulled(bytes)
  })

  testWhere(uploadMode === 'relay')(
    'a hold that fails at a part or the completion is asked again',
    async () => {
      const bytes = randomBytes(9 * mebibyte)
      for (const method of ['getPartUploadUrl', 'completeUpload']) {
        const path = `/xrpc/io.atcr.hold.${method}`
        const faults = (['error', 'drop', 'lose-answer'] as const).map((kind) =>
          network.faults.add({ to: 'hold', path, kind, times: 1 }),
        )
        bytes.writeUInt8(faults.length)
        const changed = Buffer.concat([bytes, Buffer.from(method)])
        const upload = await OneUpload.begin(network, repository)
        expect((await upload.patch(changed)).status).toBe(202)
        expect((await upload.finish(digestOfBytes(changed))).status).toBe(201)
        expect([method, ...faults.map(({ count }) => count)]).toEqual([method, 1, 1, 1])
        await expectPulled(changed)
      }
    },
  )

  test('a final answer that is lost is given again', async () => {
    const bytes = randomBytes(1000)
    const digest = digestOfBytes(bytes)
    const upload = await OneUpload.begin(network, repository)
    expect((await upload.patch(bytes)).status).toBe(202)
    const fault =
      uploadMode === 'direct'
        ? network.faults.add({
            to: 'hold',
            method: 'PUT',
            path: /\/blobs\/uploads\//,
            kind: 'lose-answer',
            times: 1,
          })
        : network.faults.add({ to: 'hold', path: /completeUpload$/, kind: 'lose-answer', times: 4 })
    // Direct: the client heard nothing, and may have asked again by itself. Relay: the AppView asks as often as it does.
    const status = await upload.finish(digest).then((answer) => answer.status, () => undefined) // prettier-ignore
    expect(fault.count).toBe(uploadMode === 'direct' ? 1 : 4)
    if (uploadMode === 'relay') expect(status).toBe(503)
    fault.remove()
    expect((await upload.finish(digest)).status).toBe(201)
    await expectPulled(bytes)
  })
})
