import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { BrowserTwin } from '../network/browser-twin.ts'
import { catalogue } from '../network/demo/catalogue.ts'
import { SimulatedClock, simulated } from '../network/demo/clock.ts'
import { people } from '../network/demo/people.ts'
import { hasDemo, openDemo, type Demo } from '../network/demo/seed.ts'
import { OciClient } from '../network/oci-client.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'

/** Goal: the demo shows what it promises. Method: it is made once, and looked at where people look. */
let folder: string
let network: TestNetwork
let demo: Demo
const steps: string[] = []
const clock = new SimulatedClock()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-demo-'))
  network = await TestNetwork.create({ dataDir: folder, uploadMode: 'auto', ...simulated(clock) })
  demo = await openDemo(network, { clock, folder, progress: (step) => steps.push(step) })
  // Some twenty seconds of work; cores that are shared make more of it.
}, 400_000)
afterAll(async () => {
  await demo?.[Symbol.asyncDispose]()
  await network?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const look = async (path: string, browser = new BrowserTwin(network.appview.url)) => {
  const { body, status } = await browser.get(path)
  return { status, body }
}

test('everybody has a page with what he pushed, and none of it is refused by the index', async () => {
  for (const { name } of people) {
    const { body, status } = await look(`/u/${name}.test`)
    expect({ name, status }).toEqual({ name, status: 200 })
    const own = catalogue.filter(({ owner }) => owner === name && owner !== 'ledger')
    for (const repository of own) expect(body).toContain(`/r/${name}.test/${repository.name}`)
  }
  expect(network.appview.context.indexer.counts).toMatchObject({ malformed: 0, failed: 0 })
  expect(network.jetstream.refused).toEqual([])
})

test('what rests in the private hold is for its captain and crew alone', async () => {
  expect((await look('/r/ledger.test/invoices')).status).toBe(404)
  const crew = new BrowserTwin(network.appview.url)
  const stranger = new BrowserTwin(network.appview.url)
  await signIn(crew, account('wren'))
  await signIn(stranger, account('bob'))
  expect((await look('/r/ledger.test/invoices', crew)).status).toBe(200)
  expect((await look('/r/ledger.test/invoices', stranger)).status).toBe(404)
  for (const path of ['/', '/u/jun.test']) expect((await look(path)).body).not.toContain('invoices')
})

test('pushes lie months apart, and the clock is the machine’s again', async () => {
  const rows = await network.appview.context.db
    .selectFrom('tags')
    .select(['tag', 'updated_at'])
    .where('repository', '=', 'tide')
    .where('owner_did', '=', account('alice').did)
    .execute()
  const ageDays = (tag: string) =>
    Math.round((Date.now() - Date.parse(rows.find((row) => row.tag === tag)?.updated_at ?? '')) / 86_400_000)
  expect([ageDays('v1.2.0'), ageDays('v2.0.0')]).toEqual([118, 0])
  expect(Math.abs(clock.now().getTime() - Date.now())).toBeLessThan(1000)
})

test('an index has its attestations, and what signs and describes it', async () => {
  const client = new OciClient({ registryUrl: network.appview.url })
  const index = await client.pullManifest('alice.test/tide', 'latest')
  const { manifests } = JSON.parse(Buffer.from(index.bytes).toString()) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
  expect(manifests.map((it) => it.annotations?.['vnd.docker.reference.type'])).toEqual([
    undefined,
    undefined,
    'attestation-manifest',
    'attestation-manifest',
  ])
  const answer = await client.request('GET', `/v2/alice.test/tide/referrers/${index.digest}`)
  const referrers = (await answer.json()) as { manifests: { artifactType: string }[] }
  expect(referrers.manifests.map((it) => it.artifactType).toSorted()).toEqual([
    'application/spdx+json',
    'application/vnd.cyclonedx+json',
    'application/vnd.dev.sigstore.bundle.v0.3+json',
  ])
})

test('stars and pulls are counted', async () => {
  const { db } = network.appview.context
  const { stars } = await db
    .selectFrom('stars')
    .select((eb) => eb.fn.countAll<number>().as('stars'))
    .executeTakeFirstOrThrow()
  expect(stars).toBeGreaterThan(80)
  const [top] = await network.hold.context.stats.listRepositories({ order: 'pulls', limit: 1 })
  expect(top?.pullCount).toBeGreaterThan(10)
})

test('made once: the second time nothing is pushed', async () => {
  expect(steps).toContain('pushes')
  expect(await hasDemo(folder)).toBe(true)
  await demo[Symbol.asyncDispose]()
  steps.length = 0
  demo = await openDemo(network, { clock, folder, progress: (step) => steps.push(step) })
  expect(steps).toEqual(['more holds'])
  const manifest = await new OciClient({ registryUrl: network.appview.url }).pullManifest(
    'mira.test/base',
    '3',
  )
  expect(manifest.mediaType).toContain('index')
})

function account(name: string) {
  const found = demo.accounts.get(name)
  if (found === undefined) throw new Error(`nobody is called ${name}`)
  return found
}
