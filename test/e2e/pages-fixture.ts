import { Hono } from 'hono'

import { Cards } from '../../src/appview/ui/cards/answer-card.ts'
import { CardRenderer } from '../../src/appview/ui/cards/card-renderer.ts'
import { loadAssets } from '../../src/appview/ui/assets.ts'
import type { HelperBuild } from '../../src/appview/ui/helper-builds.ts'
import { BrowserSessions } from '../../src/appview/ui/sessions.ts'
import { SearchIndexing } from '../../src/appview/jobs/search-indexing.ts'
import { LivePushes } from '../../src/appview/services/live-pushes.ts'
import { Search } from '../../src/appview/services/search.ts'
import { ShownSums } from '../../src/appview/services/shown-sums.ts'
import { AppViewError } from '../../src/appview/errors.ts'
import { ImageConfigs } from '../../src/appview/services/image-configs.ts'
import { Sealing } from '../../src/appview/services/sealing.ts'
import { WebSessions } from '../../src/appview/services/web-sessions.ts'
import { Markdown } from '../../src/appview/ui/markdown/markdown.ts'
import { answerFailedPage, answerUnknownPage, mountPages } from '../../src/appview/ui/routes.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import { putCaptain } from '../../src/appview/db/holds.ts'
import { findManifestBytes } from '../../src/appview/db/manifest-bytes.ts'
import { upsertIdentity } from '../../src/appview/db/identities.ts'
import type { AppViewDb, AppViewTables } from '../../src/appview/db/schema.ts'
import { applyManifest } from '../../src/appview/read-model/manifest.ts'
import { applyRepoPage } from '../../src/appview/read-model/repo-page.ts'
import { applyTag } from '../../src/appview/read-model/tag.ts'
import { AtprotoError } from '../../src/atproto/errors.ts'
import { nextTid, type Did } from '../../src/atproto/syntax.ts'
import { requestId, securityHeaders } from '../../src/http/middleware.ts'
import { serve, type ServerEnv } from '../../src/http/serve.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import { sha256Hex } from '../../src/lib/ids.ts'
import { logger } from '../../src/lib/log.ts'
import { manifestRkey, parseManifestRecord } from '../../src/protocol/lexicon/manifest-record.ts'
import { parseTagRecord, tagRkey } from '../../src/protocol/lexicon/tag-record.ts'
import type { Descriptor, Platform } from '../../src/protocol/oci/descriptor.ts'
import { parseDigest, type Digest } from '../../src/protocol/oci/digest.ts'

const publicHold: Did = 'did:web:hold.example'
const privateHold: Did = 'did:web:vault.example'
const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'

/** The fixed present of the fixture. */
export const now = new Date('2026-11-22T10:00:00Z')

const digestOf = (text: string): Digest => parseDigest(`sha256:${sha256Hex(text)}`)
const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString()

/** A manifest to be stored, described in a few words. */
export interface FixtureManifest {
  owner: Did
  repository: string
  name: string
  minutes: number
  holdDid?: Did
  layers?: number[]
  config?: string
  platforms?: { name: string; platform: Platform; sizeBytes: number }[]
  subject?: string
  artifactType?: string
  annotations?: Record<string, string>
}

export async function putManifest(db: AppViewDb, manifest: FixtureManifest): Promise<Digest> {
  const digest = digestOf(manifest.name)
  const blob = (sizeBytes: number, index: number): Descriptor => ({
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: digestOf(`${manifest.name} ${index}`),
    sizeBytes,
  })
  const isIndex = manifest.platforms !== undefined
  const toJson = ({ sizeBytes, ...rest }: Descriptor) => ({ ...rest, size: sizeBytes })
  const record = parseManifestRecord({
    repository: manifest.repository,
    digest,
    mediaType: isIndex ? ociIndex : ociManifest,
    schemaVersion: 2,
    holdDid: manifest.holdDid ?? publicHold,
    ...(isIndex
      ? {
          manifests: manifest.platforms?.map(({ name, platform, sizeBytes }) =>
            toJson({ mediaType: ociManifest, digest: digestOf(name), sizeBytes, platform }),
          ),
        }
      : {
          config: toJson({
            ...blob(2_100, -1),
            mediaType: manifest.config ?? 'application/vnd.oci.image.config.v1+json',
          }),
          layers: (manifest.layers ?? [1_000_000]).map(blob).map(toJson),
        }),
    ...(manifest.subject && {
      subject: { mediaType: ociManifest, digest: digestOf(manifest.subject), size: 700 },
    }),
    ...(manifest.artifactType && { artifactType: manifest.artifactType }),
    ...(manifest.annotations && { annotations: manifest.annotations }),
    createdAt: minutesAgo(manifest.minutes),
  })
  const change = { did: manifest.owner, rkey: manifestRkey(digest), rev: nextTid(), record, sizeBytes: 1_234 }
  await applyManifest(db, change)
  return digest
}

export async function putTag(
  db: AppViewDb,
  tag: { owner: Did; repository: string; tag: string; digest: Digest; minutes: number },
): Promise<void> {
  const record = parseTagRecord({
    repository: tag.repository,
    tag: tag.tag,
    manifestDigest: tag.digest,
    createdAt: minutesAgo(tag.minutes),
    updatedAt: minutesAgo(tag.minutes),
  })
  await applyTag(db, { did: tag.owner, rkey: tagRkey(tag.repository, tag.tag), rev: nextTid(), record })
}

const alice: Did = 'did:plc:alicealicealicealicealic'
const bob: Did = 'did:plc:bobbobbobbobbobbobbobbob'
const nameless: Did = 'did:plc:namelessnamelessnameless'

const linux = (architecture: string, variant?: string): Platform => ({
  os: 'linux',
  architecture,
  ...(variant !== undefined && { variant }),
})

/** Rows like those of a few weeks on the network: several kinds of artifact, long names, strange text. */
export async function fillDatabase(db: AppViewDb): Promise<void> {
  const captain = { ownerDid: alice, allowAllCrew: false }
  await putCaptain(db, { did: publicHold, captain: { ...captain, isPublic: true }, updatedAt: minutesAgo(0) })
  await putCaptain(db, {
    did: privateHold,
    captain: { ...captain, isPublic: false },
    updatedAt: minutesAgo(0),
  })
  await upsertIdentity(db, { did: alice, handle: 'alice.test', resolvedAt: minutesAgo(0) })
  await upsertIdentity(db, { did: bob, handle: 'bob.builds-very-long-container-names.example.social', resolvedAt: minutesAgo(0) }) // prettier-ignore

  const app = { owner: alice, repository: 'app' }
  const children = [
    { name: 'app amd64', platform: linux('amd64'), sizeBytes: 1_230 },
    { name: 'app arm64', platform: linux('arm64', 'v8'), sizeBytes: 1_230 },
    { name: 'app riscv', platform: linux('riscv64'), sizeBytes: 1_230 },
  ]
  for (const { name } of children) {
    await putManifest(db, { ...app, name, minutes: 3, layers: [31_000_000, 4_200_000, 120_000] })
  }
  const index = await putManifest(db, {
    ...app,
    name: 'app index',
    minutes: 3,
    platforms: [
      ...children,
      { name: 'app provenance', platform: { os: 'unknown', architecture: 'unknown' }, sizeBytes: 800 },
    ],
    annotations: { 'org.opencontainers.image.description': 'A small web server that says hello, in Rust.' },
  })
  await putTag(db, { ...app, tag: 'latest', digest: index, minutes: 3 })
  await putTag(db, { ...app, tag: 'v1.4.2', digest: index, minutes: 3 })
  for (const [position, tag] of [
    'v1.4.1',
    'v1.4.0',
    'v1.3.0',
    'nightly-2026-11-01-with-a-rather-long-tag-name-that-goes-on-and-on',
  ].entries()) {
    const digest = await putManifest(db, {
      ...app,
      name: `app ${tag}`,
      minutes: 2_000 * (position + 1),
      layers: [30_000_000],
    })
    await putTag(db, { ...app, tag, digest, minutes: 2_000 * (position + 1) })
  }
  await putManifest(db, { ...app, name: 'app untagged', minutes: 44_000, layers: [29_000_000] })
  await putManifest(db, {
    ...app,
    name: 'app signature',
    minutes: 2,
    subject: 'app index',
    artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    layers: [4_096],
  })

  const chart = { owner: alice, repository: 'charts/hello' }
  const chartDigest = await putManifest(db, {
    ...chart,
    name: 'chart',
    minutes: 130,
    config: 'application/vnd.cncf.helm.config.v1+json',
    layers: [12_400],
    annotations: {
      'org.opencontainers.image.description': '<script>alert(1)</script> Helm chart \u202Egnp.exe',
    },
  })
  await putTag(db, { ...chart, tag: '0.3.1', digest: chartDigest, minutes: 130 })

  const long = { owner: bob, repository: 'team/backend/services/authentication-and-authorisation-gateway' }
  const longDigest = await putManifest(db, { ...long, name: 'long', minutes: 700, layers: [812_000_000] })
  await putTag(db, {
    ...long,
    tag: 'sha-6c1f0f2b8a6b4b0f9f5c2f7d1e3a4b5c6d7e8f90',
    digest: longDigest,
    minutes: 700,
  })

  const model = { owner: nameless, repository: 'model' }
  const modelDigest = await putManifest(db, {
    ...model,
    name: 'model',
    minutes: 60 * 24 * 16,
    artifactType: 'application/vnd.example.model.weights.v1+json',
    layers: [4_400_000_000],
  })
  await putTag(db, { ...model, tag: 'q4', digest: modelDigest, minutes: 60 * 24 * 16 })

  const secret = { owner: alice, repository: 'secret', holdDid: privateHold }
  const secretDigest = await putManifest(db, { ...secret, name: 'secret', minutes: 1 })
  await putTag(db, { ...secret, tag: 'latest', digest: secretDigest, minutes: 1 })

  const busy = { owner: alice, repository: 'busy' }
  for (let count = 0; count < 120; count++) {
    const digest = await putManifest(db, {
      ...busy,
      name: `busy ${count}`,
      minutes: 20_000 + count,
      platforms: ['amd64', 'arm64', '386', 'ppc64le', 's390x', 'riscv64', 'mips64le', 'loong64'].map(
        (architecture) => ({
          name: `busy ${count} ${architecture}`,
          platform: linux(architecture),
          sizeBytes: 9_000_000,
        }),
      ),
    })
    await putTag(db, {
      ...busy,
      tag: `build-${String(count).padStart(5, '0')}`,
      digest,
      minutes: 20_000 + count,
    })
  }
  const page = {
    repository: 'busy',
    description: '# Busy\n\nBuilt on every commit.',
    createdAt: minutesAgo(9),
    updatedAt: minutesAgo(9),
  }
  await applyRepoPage(db, { did: alice, rkey: 'busy', rev: nextTid(), record: page })
}

/** What is kept of configs; every hold is down. */
function configsWithoutHolds(db: Database<AppViewTables>): ImageConfigs {
  const fail = async () => {
    throw new AppViewError('hold_unreachable', 'no hold is here')
  }
  return new ImageConfigs({ db, holds: { locateBlob: fail }, blobs: { open: fail }, now: () => now })
}

function silentLogger() {
  const log = logger('fixture')
  log.level = 'silent'
  return log
}

/** The pages over a database of their own, served without the rest of the AppView. Closed with `await using`. */
export async function pagesFixture(
  options: {
    baseUrl?: string
    isEmpty?: boolean
    db?: Database<AppViewTables>
    helperBuilds?: HelperBuild[]
    helperDownloadBase?: string
  } = {},
) {
  const db = options.db ?? (await openDatabase<AppViewTables>({ path: ':memory:' }, migrations))
  if (options.isEmpty !== true) await fillDatabase(db)
  const livePushes = new LivePushes({ db, now: () => now, log: silentLogger() })
  const searchIndexing = new SearchIndexing({ db, log: silentLogger() })
  await searchIndexing.settle()
  const nobodyIs = async (actor: string) => {
    throw new AtprotoError('handle_unresolved', `nobody is ${actor}`)
  }
  const identities = { resolveActor: nobodyIs, resolveDid: nobodyIs }
  const assets = loadAssets()
  const baseUrl = options.baseUrl ?? 'https://registry.example'
  const sealing = new Sealing(Buffer.alloc(32))
  const webSessions = new WebSessions({ db, sealing, now: () => now })
  const { origin } = new URL(baseUrl)
  const sessions = new BrowserSessions({ webSessions, identities, assets, origin, baseUrl })
  const helper = { builds: { list: async () => options.helperBuilds ?? [] }, downloadBase: options.helperDownloadBase } // prettier-ignore
  const imagePath = (url: string) => `/image?${new URLSearchParams({ url }).toString()}`
  const markdown = new Markdown({ imagePath, images: 'proxy', now: () => now })
  const cards = new Cards({ renderer: new CardRenderer(), now: () => now })
  const needs = {
    cards,
    db,
    assets,
    baseUrl,
    sessions,
    log: silentLogger(),
    now: () => now,
    identities,
    helper,
    search: new Search({ db, now: () => now }),
    shownSums: new ShownSums({ db, now: () => now }),
    livePushes,
    imageConfigs: configsWithoutHolds(db),
    manifestLookup: {
      findBytes: async ({ digest }: { digest: Digest }) => (await findManifestBytes(db, digest))?.bytes,
    },
    blobs: { find: async () => undefined, locate: async () => undefined },
    healthBelievedMs: () => 30 * 60_000,
    imagePath,
    markdown,
    remoteReadmes: { peek: () => undefined },
  }
  const app = new Hono<ServerEnv>()
  app.use(requestId(), securityHeaders('http://127.0.0.1'))
  mountPages(app, needs)
  app.get('/fail', () => {
    throw new Error('a secret detail')
  })
  app.notFound((context) => answerUnknownPage(context, needs))
  app.onError((error, context) => answerFailedPage(context, needs, error))
  const server = await serve(app, { hostname: '127.0.0.1', port: 0 })
  const url = `http://127.0.0.1:${server.port}`
  return {
    db,
    searchIndexing,
    livePushes,
    url,
    /** Pages as somebody sees them who is signed in. */
    async pageAs(did: Did, path: string): Promise<string> {
      const token = await webSessions.create(did, { userAgent: 'Firefox', address: '127.0.0.1' })
      const name = origin.startsWith('https:') ? '__Host-atcr' : `atcr-${new URL(baseUrl).port}`
      return (await fetch(url + path, { headers: { cookie: `${name}=${token}` } })).text()
    },
    async [Symbol.asyncDispose]() {
      await livePushes[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      if (options.db === undefined) await db.destroy()
    },
  }
}
