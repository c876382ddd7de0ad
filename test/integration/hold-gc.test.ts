import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startPostgres, type Postgres } from '../network/postgres.ts'
import { blobOf, imageOfFiles, imageOfLayers } from '../network/sample-image.ts'
import { GcNetwork } from './gc-network.ts'
import { client } from './registry-clients.ts'

/**
 * Goal: garbage collection deletes what no manifest needs, and nothing else, whatever becomes of the PDSes it asks.
 * Method: a real PDS and real pushes, time moved by hand, deletions behind the hold's back.
 */

describe.each([
  { storage: 'filesystem', database: 'SQLite' },
  { storage: 's3', database: 'SQLite' },
  { storage: 'filesystem', database: 'PostgreSQL' },
] as const)('garbage collection on $storage and $database', ({ storage, database }) => {
  let gc: GcNetwork
  let postgres: Postgres | undefined

  beforeAll(async () => {
    postgres = database === 'PostgreSQL' ? await startPostgres() : undefined
    const hold = postgres === undefined ? {} : { database: { url: postgres.createDatabase() } }
    gc = await GcNetwork.create({ storage, hold })
  })
  afterAll(async () => {
    await gc?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
  })

  test('a deleted image goes after its grace periods, what it shares with another stays', async () => {
    const shared = blobOf(Buffer.from('a layer of both'))
    const kept = imageOfLayers([shared, blobOf(Buffer.from('only of the kept'))])
    const dead = imageOfLayers([shared, blobOf(Buffer.from('only of the dead'))])
    await gc.push('alice.test/kept', kept, 'v1')
    await gc.push('alice.test/dead', dead, 'v1')
    await gc.passUploads()
    expect(await gc.collect()).toMatchObject({ manifestsMissing: 0, blobsDeletable: 0, blobsWaiting: 0 })
    await gc.deleteRecord('alice', dead)
    const first = await gc.collect()
    expect(first).toMatchObject({ manifestsMissing: 1, manifestsRemoved: 0, blobsDeleted: 0 })
    await gc.pass(9)
    expect(await gc.collect()).toMatchObject({ manifestsMissing: 1, manifestsRemoved: 0 })
    await gc.pass(2)
    expect(await gc.collect()).toMatchObject({ manifestsRemoved: 1, blobsWaiting: 2, blobsDeleted: 0 })
    await gc.pass(9)
    expect(await gc.collect()).toMatchObject({ blobsWaiting: 2, blobsDeleted: 0 })
    await gc.pass(2)
    const sizes = dead.blobs.filter(({ digest }) => digest !== shared.digest).map((blob) => blob.sizeBytes)
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    const dry = await gc.collect({ isDryRun: true })
    expect(dry).toMatchObject({ blobsDeletable: 2, bytesDeletable: bytes, blobsDeleted: 0, bytesDeleted: 0 })
    expect(await gc.rows()).toHaveLength(5)
    expect(await gc.collect()).toMatchObject({ blobsDeleted: 2, bytesDeleted: bytes })
    expect(await gc.rows()).toEqual(kept.blobs.map(({ digest }) => digest).sort())
    expect(await gc.objects()).toHaveLength(3)
    expect(await gc.isPulled('alice.test/kept', kept)).toBe(true)
  })

  test('what is uploaded and never named goes, what is named meanwhile does not', async () => {
    const [never, late] = [blobOf(Buffer.from('never named')), blobOf(Buffer.from('named late'))]
    const alice = client(gc.network, 'alice')
    await alice.pushBlob('alice.test/late', never)
    await alice.pushBlob('alice.test/late', late)
    // Uploads are remembered for a day, and so is what they became.
    expect(await gc.collect()).toMatchObject({ blobsWaiting: 0 })
    await gc.passUploads()
    expect(await gc.collect()).toMatchObject({ blobsWaiting: 2 })
    await gc.pass(9)
    const image = imageOfLayers([late])
    await gc.push('alice.test/late', image, 'v1')
    await gc.pass(2)
    expect(await gc.collect()).toMatchObject({ blobsDeleted: 1 })
    expect(await gc.rows()).not.toContain(never.digest)
    expect(await gc.isPulled('alice.test/late', image)).toBe(true)
  })

  test('a condemned blob that is asked for begins its grace anew, and one that is gone is uploaded again', async () => {
    const image = imageOfFiles({ hello: 'condemned' })
    await gc.push('alice.test/again', image, 'v1')
    await gc.passUploads()
    await gc.deleteRecord('alice', image)
    await gc.collect()
    await gc.pass(11)
    await gc.collect()
    await gc.pass(11)
    // Just before it would go somebody is told that it is there.
    const [blob] = image.blobs
    expect(await gc.network.hold.context.blobs.find(blob?.digest as never)).toBeDefined()
    await gc.collect()
    expect(await gc.rows()).toContain(blob?.digest)
    await gc.push('alice.test/again', image, 'v2')
    await gc.collectAll()
    expect(await gc.isPulled('alice.test/again', image)).toBe(true)
    await gc.deleteRecord('alice', image)
    await gc.collectAll()
    for (const { digest } of image.blobs) expect(await gc.rows()).not.toContain(digest)
    // The AppView still knows the link, the hold no longer has the bytes: a pusher is told to send them.
    const head = await client(gc.network, 'alice').request(
      'HEAD',
      `/v2/alice.test/again/blobs/${blob?.digest}`,
    )
    expect(head.status).toBe(404)
    await gc.push('alice.test/again', image, 'v3')
    await gc.collectAll()
    expect(await gc.isPulled('alice.test/again', image)).toBe(true)
  })
})

describe('a manifest that is deleted through the registry', () => {
  let gc: GcNetwork

  beforeAll(async () => {
    gc = await GcNetwork.create()
  })
  afterAll(() => gc?.[Symbol.asyncDispose]())

  const layersOf = async (digest: string) => {
    const { database } = gc.network.hold.context
    const rows = await database.selectFrom('layers').select('manifest_uri').execute()
    return rows.filter(({ manifest_uri }) => manifest_uri.endsWith(digest.split(':')[1] ?? '')).length
  }

  test('frees its layers at once, in rows and in records', async () => {
    const image = imageOfFiles({ hello: 'deleted' })
    await gc.push('alice.test/gone', image, 'v1')
    expect(await layersOf(image.digest)).toBe(2)
    const alice = client(gc.network, 'alice')
    await alice.authorize('alice.test/gone', 'pull,push')
    expect((await alice.request('DELETE', `/v2/alice.test/gone/manifests/${image.digest}`)).status).toBe(202)
    await gc.network.settled()
    expect(await layersOf(image.digest)).toBe(0)
    const records = await gc.network.hold.context.repo.listRecords('io.atcr.hold.layer', { limit: 100 })
    expect(records.records).toEqual([])
    // The same image again is noted again.
    await gc.push('alice.test/gone', image, 'v2')
    expect(await layersOf(image.digest)).toBe(2)
    await gc.collectAll()
    expect(await gc.isPulled('alice.test/gone', image)).toBe(true)
  })

  test('keeps them while another repository holds it, while its PDS is silent, and until it is gone', async () => {
    const image = imageOfFiles({ hello: 'deleted twice' })
    await gc.push('alice.test/one', image, 'v1')
    await gc.push('alice.test/two', image, 'v1')
    const alice = client(gc.network, 'alice')
    const remove = async (repository: string) => {
      await alice.authorize(repository, 'pull,push')
      expect((await alice.request('DELETE', `/v2/${repository}/manifests/${image.digest}`)).status).toBe(202)
      await gc.network.settled()
    }
    await remove('alice.test/one')
    expect(await layersOf(image.digest)).toBe(2)
    {
      using _silent = gc.network.faults.add({ kind: 'error', from: 'hold', to: 'pds' })
      await remove('alice.test/two')
      expect(await layersOf(image.digest)).toBe(2)
    }
    await gc.collectAll()
    expect(await layersOf(image.digest)).toBe(0)
    for (const { digest } of image.blobs) expect(await gc.rows()).not.toContain(digest)
  })

  test('is believed of its owner only, and of a record that is gone only', async () => {
    const image = imageOfFiles({ hello: 'not deleted' })
    await gc.push('alice.test/stays', image, 'v1')
    const notice = {
      operation: 'delete',
      repository: 'stays',
      userDid: gc.network.accounts.alice.did,
      manifestDigest: image.digest,
      manifest: {},
    }
    expect(await gc.notify('alice', notice)).toMatchObject({ success: true, layersRemoved: false })
    expect(await gc.notify('bob', notice)).toMatchObject({ error: 'UserMismatch' })
    expect(await gc.notify(undefined, notice)).toMatchObject({ error: 'AuthRequired' })
    expect(await layersOf(image.digest)).toBe(2)
  })
})
