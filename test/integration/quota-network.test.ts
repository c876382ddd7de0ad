import { randomBytes } from 'node:crypto'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres, type Postgres } from '../network/postgres.ts'
import { digestOfBytes, imageOfLayers, randomLayer } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { clientOf, errorOf, mebibyte, OneUpload, pulled, ways } from './one-upload.ts'

const repository = 'bob.test/app'

/** Goal: what a hold refuses reaches the person in words. Method: a client that is given the answers of the registry. */
describe.each([
  ...ways.map((way) => ({ ...way, database: 'SQLite' })),
  { ...ways[0], database: 'PostgreSQL' },
])('a hold with quotas, $uploadMode, to $storage, on $database', ({ uploadMode, storage, database }) => {
  let network: TestNetwork
  let postgres: Postgres | undefined
  beforeAll(async () => {
    postgres = database === 'PostgreSQL' ? await startPostgres() : undefined
    network = await TestNetwork.create({
      uploadMode,
      storage,
      hold: {
        quota: { tiers: [{ name: 'deckhand', quota: '20MiB' }] },
        ...(postgres === undefined ? {} : { database: { url: postgres.createDatabase() } }),
      },
    })
  })
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
  })

  const tooMuch = /quota exceeded: .* of the 21 MB of tier deckhand are taken, and this needs /

  test('too large a layer is refused with figures, and one that fits is taken after it', async () => {
    const upload = await OneUpload.begin(network, repository, 'bob')
    const big = randomBytes(30 * mebibyte)
    let response = await upload.patch(big)
    // Relayed bytes wait in the AppView until they fill a part; the last of them are refused with the last request.
    if (response.status === 202) response = await upload.finish(digestOfBytes(big))
    const { errors } = (await response.json()) as { errors: { code: string; message: string }[] }
    expect([response.status, errors[0]?.code]).toEqual([403, 'DENIED'])
    expect(errors[0]?.message).toMatch(tooMuch)
    const small = randomBytes(10 * mebibyte)
    const second = await OneUpload.begin(network, repository, 'bob')
    expect((await second.patch(small)).status).toBe(202)
    expect((await second.finish(digestOfBytes(small))).status).toBe(201)
  })

  test('a push is charged once the hold knows of it; the captain is not limited', async () => {
    const image = imageOfLayers([await randomLayer(5 * mebibyte)])
    await clientOf(network, 'bob').pushImage(repository, image, 'latest')
    await network.settled()
    const { quotas } = network.hold.context
    const usage = await quotas.find(network.accounts.bob.did)
    expect(usage).toMatchObject({ uniqueBlobs: 2, tier: 'deckhand', limitBytes: 20 * mebibyte })
    expect(usage.totalSizeBytes).toBeGreaterThan(5 * mebibyte)
    const large = imageOfLayers([await randomLayer(25 * mebibyte)])
    await clientOf(network, 'alice').pushImage('alice.test/app', large, 'latest')
  })

  test('who is put out of the crew in the middle of a push is refused, and nothing of it shows', async () => {
    const { crew } = network.hold.context
    const bytes = randomBytes(3 * mebibyte)
    const upload = await OneUpload.begin(network, repository, 'bob')
    expect((await upload.patch(bytes.subarray(0, mebibyte))).status).toBe(202)
    await crew.updateCaptain({ allowAllCrew: false })
    await crew.remove(network.accounts.bob.did)
    let response = await upload.patch(bytes.subarray(mebibyte), mebibyte)
    if (response.status === 202) response = await upload.finish(digestOfBytes(bytes))
    expect(await errorOf(response)).toEqual([403, 'DENIED'])
    expect(await pulled(network, 'alice.test/app', digestOfBytes(bytes))).toBeUndefined()
    const fresh = await clientOf(network, 'bob').request('POST', `/v2/${repository}/blobs/uploads/`)
    expect(await errorOf(fresh)).toEqual([403, 'DENIED'])
  })
})
