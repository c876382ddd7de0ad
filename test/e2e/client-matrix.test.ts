import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { assert } from '../../src/lib/assert.ts'
import { createAccount } from '../network/accounts.ts'
import { OciClient } from '../network/oci-client.ts'
import { TestNetwork } from '../network/test-network.ts'
import { clientSources } from './clients/all.ts'
import type { Account, Client, ClientSource, LocalImage, Pulled } from './clients/client.ts'
import { MatrixReport } from './clients/matrix-report.ts'
import { readStored, store } from './clients/stored.ts'
import { OciLayout, readManifest, verifiedBlobs } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: every client that people have does everything it can do with this registry. Method: a table of clients and
 * operations; what a client should find was put there, and what it pushed is read back, by a plain client of the
 * specification's, every byte compared by digest. Each operation has content of its own: no cache helps.
 */
type UploadMode = 'auto' | 'relay'
const tag = '1.0.0'
const artifactType = 'application/vnd.example.note'
const refusedInWords = /unauthorized|denied|authentication|invalid username|incorrect|not authorized|401|403/i

let uploadMode: UploadMode
let network: TestNetwork
let folder: string
let alice: Account
let plain: OciClient
const report = new MatrixReport()

beforeAll(() => {
  for (const source of clientSources) if (source.findObstacle() === undefined) source.prepare?.()
})
afterAll(() =>
  report.write(
    clientSources.map(({ name }) => name),
    operations.map(({ name }) => name),
  ),
)

/** As operators have it, and what writes once more with every byte through the AppView. */
describe.each(['auto', 'relay'] as const)('upload mode %s', (mode) => {
  beforeAll(() => startNetwork(mode))
  afterAll(stopNetwork)

  describe.each(clientSources.map((source, number) => ({ source, number })))(
    '$source.name',
    ({ source, number }) => {
      const obstacle = source.findObstacle()
      if (obstacle !== undefined) {
        report.addMissing(source.name, obstacle)
        test(`${source.name}: cannot be had: ${obstacle}`, ({ skip }) => skip(obstacle))
        return
      }
      matrixRow(source, number, mode === 'relay')
    },
  )
})

async function startNetwork(mode: UploadMode): Promise<void> {
  uploadMode = mode
  folder = await makeTemporaryFolder('atcr-matrix')
  network = await TestNetwork.create({ uploadMode })
  alice = { username: network.accounts.alice.handle, password: network.accounts.alice.appPassword }
  plain = new OciClient({ registryUrl: network.appview.url, ...alice })
}

async function stopNetwork(): Promise<void> {
  await network[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
}

/** What an operation works with. */
interface Bench {
  source: ClientSource
  client: Client
  /** A repository of alice's for this client and operation alone. */
  reference: string
  image: LocalImage
}

interface Operation {
  name: string
  ability?: 'copy' | 'index' | 'artifact'
  isWriting?: true
  run: (bench: Bench) => Promise<void>
}

const operations: readonly Operation[] = [
  {
    name: 'login and push',
    isWriting: true,
    async run({ source, client, reference, image }) {
      await client.login(alice)
      network.calls.reset()
      await client.push(image, reference)
      const isDirect = network.calls.count({ from: 'client', to: 'hold', method: 'PUT' }) > 0
      expect(isDirect).toBe(uploadMode === 'auto' && source.isStayingAtRegistry !== true)
      if (uploadMode === 'auto')
        report.addUploads(source.name, isDirect ? 'to the hold' : 'through the AppView')
      expect([...(await readStored(plain, reference))]).toContain(await contentOf(image))
    },
  },
  {
    name: 'pull anonymously',
    async run({ client, reference, image }) {
      await store(plain, image, reference)
      await client.logout()
      await expectWhole(await client.pull(reference), image)
    },
  },
  {
    name: 'pull signed in',
    async run({ client, reference, image }) {
      await store(plain, image, reference)
      await client.login(alice)
      await expectWhole(await client.pull(reference), image)
    },
  },
  {
    name: 'copy between repositories',
    ability: 'copy',
    isWriting: true,
    async run({ source, client, reference, image }) {
      assert(client.copy, 'it has no copy')
      await store(plain, image, reference)
      await client.login(alice)
      const target = reference.replace(':', '-target:')
      network.calls.reset()
      await client.copy(reference, target)
      // Layers are mounted; some clients upload the config again.
      const uploadCount = network.calls.count({ from: 'client', method: 'PUT', path: /uploads\// })
      if (source.isCopyingWithoutMount !== true) expect(uploadCount).toBeLessThan(2)
      expect([...(await readStored(plain, target))]).toContain(await contentOf(image))
    },
  },
  {
    name: 'push and pull a multi-arch index',
    ability: 'index',
    isWriting: true,
    async run({ client, reference }) {
      assert(client.pushIndex && client.pullIndex, 'it has no index')
      const index = await makeIndex(`${reference.replaceAll(/[/:]/g, '-')}-index`)
      await client.login(alice)
      await client.pushIndex(index, reference)
      const stored = await readStored(plain, reference)
      const { manifests = [] } = await readManifest(index.layoutPath, index.descriptor.digest)
      for (const { digest } of manifests) {
        const { config } = await readManifest(index.layoutPath, digest)
        expect(stored).toContain(config?.digest)
      }
      const other = await makeIndex(`${reference.replaceAll(/[/:]/g, '-')}-other`)
      const otherReference = reference.replace(':', '-other:')
      await store(plain, other, otherReference)
      await expectWhole(await client.pullIndex(otherReference), other)
    },
  },
  {
    name: 'artifact with a subject',
    ability: 'artifact',
    isWriting: true,
    async run({ client, reference, image }) {
      assert(client.attach, 'it has no artifacts')
      await store(plain, image, reference)
      await client.login(alice)
      const digest = await client.attach(image, reference, artifactType)
      const path = `/v2/${reference.split(':')[0]}/referrers/${image.descriptor.digest}`
      const { manifests } = (await (await plain.request('GET', path)).json()) as { manifests: object[] }
      expect(manifests).toEqual([expect.objectContaining({ digest, artifactType })])
      if (client.findReferrers) expect(await client.findReferrers(reference)).toEqual([digest])
    },
  },
  {
    name: 'a wrong password is refused in words',
    async run({ client, reference, image }) {
      // Somebody else's name for each client: wrong passwords are counted, and soon everyone has to wait.
      const handle = `${reference.split('/')[1]?.split(':')[0]}.test`
      const { handle: username } = await createAccount(network.pds.url, handle)
      const attempt = async () => {
        await client.login({ username, password: 'wrong-password' })
        await client.push(image, reference.replace(alice.username, username))
      }
      await expect(attempt()).rejects.toThrow(refusedInWords)
    },
  },
  {
    name: 'an anonymous push is refused in words',
    async run({ client, reference, image }) {
      await client.logout()
      await expect(client.push(image, reference)).rejects.toThrow(refusedInWords)
    },
  },
  {
    name: "a push to another owner's repository is refused in words",
    async run({ client, reference, image }) {
      await client.login(alice)
      const foreign = reference.replace(alice.username, network.accounts.bob.handle)
      await expect(client.push(image, foreign)).rejects.toThrow(refusedInWords)
    },
  },
]

function matrixRow(source: ClientSource, number: number, isRelay: boolean): void {
  let client: Client | undefined

  // On a new machine some programs are still being built.
  beforeAll(async () => {
    const own = join(folder, `client-${number}`)
    await mkdir(own)
    client = await source.start({ registry: new URL(network.appview.url).host, folder: own })
    report.addClient(source.name, client.version)
  }, 600_000)
  afterAll(() => client?.[Symbol.asyncDispose]())

  for (const [column, operation] of operations.entries()) {
    if (isRelay && operation.isWriting !== true) continue
    const cell = isRelay ? `${operation.name}, relayed` : operation.name
    const lack = operation.ability && source.lacks?.[operation.ability]
    if (lack !== undefined) {
      report.addLack(source.name, cell, lack)
      continue
    }
    test(`${source.name}: ${operation.name}`, async ({ onTestFinished }) => {
      onTestFinished(({ task }) => report.addResult(source.name, cell, task.result?.state === 'pass'))
      assert(client, 'it was started')
      const name = `client-${number}-${column}`
      const image = await (client.makeImage?.(name) ?? makeImage(name))
      await operation.run({ source, client, image, reference: `${alice.username}/${name}:${tag}` })
    })
  }
}

async function makeImage(name: string): Promise<LocalImage> {
  const layout = await OciLayout.create(join(folder, name))
  return { layoutPath: layout.path, tag, descriptor: await layout.addImage(tag, [3000, 70_000]) }
}

async function makeIndex(name: string): Promise<LocalImage> {
  const layout = await OciLayout.create(join(folder, name))
  return { layoutPath: layout.path, tag, descriptor: await layout.addIndex(tag, ['amd64', 'arm64']) }
}

/** A digest that stays whatever manifest a client writes: of an image its config's, of a chart its archive's. */
async function contentOf({ layoutPath, descriptor }: LocalImage): Promise<string> {
  const { config, layers } = await readManifest(layoutPath, descriptor.digest)
  const isImage = config?.mediaType.includes('image.config') === true
  return (isImage ? config.digest : layers?.[0]?.digest) ?? ''
}

async function expectWhole(pulled: Pulled, image: LocalImage): Promise<void> {
  expect(pulled.digest).toBe(image.descriptor.digest)
  const blobs = await verifiedBlobs(image.layoutPath)
  if ('layoutPath' in pulled) expect(await verifiedBlobs(pulled.layoutPath)).toEqual(blobs)
  else expect(blobs).toContain(pulled.blobDigest.replace('sha256:', ''))
}
