/**
 * How fast the past is read, in how much memory, and how fast events are indexed.
 *
 *     node scripts/bench/backfill.ts [records] [repos]
 *
 * A server in a process of its own stands for a PDS: made-up repos of manifests and tags, one HTTP answer a page, as
 * `listRecords` gives them. The index is an SQLite file, as the AppView opens it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { migrations } from '../../src/appview/db/migrations.ts'
import type { AppViewDb, AppViewTables } from '../../src/appview/db/schema.ts'
import { Backfill } from '../../src/appview/indexer/backfill.ts'
import { Consumer } from '../../src/appview/indexer/consumer.ts'
import type { NetworkEvent } from '../../src/atproto/network-event.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import { lastTidOf } from '../../src/atproto/tid.ts'
import { openDatabase } from '../../src/lib/database.ts'
import { logger } from '../../src/lib/log.ts'

const recordCount = Number(process.argv[2] ?? 100_000)
const repoCount = Number(process.argv[3] ?? 200)
const perRepo = Math.ceil(recordCount / repoCount)
const committedMicros = Date.parse('2026-11-22T10:00:00Z') * 1000
const rev = lastTidOf(committedMicros)
const cid = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
const log = logger('bench')
log.level = 'silent'

const didOf = (repo: number): Did => `did:plc:bench${String(repo).padStart(6, '0')}`
const time = '2026-11-22T09:00:00.000Z'
const hexOf = (repo: number, index: number) => `${repo.toString(16)}${index.toString(16).padStart(8, '0')}`.padStart(64, '0') // prettier-ignore

/** Half manifests with five layers, half tags of them; ten repositories an account. */
function recordOf(collection: string, repo: number, index: number) {
  const repository = `app-${index % 10}`
  const hex = hexOf(repo, index)
  const layer = (count: number) => ({
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: `sha256:${hexOf(repo + 1000 * count, index)}`,
    size: 1000,
  })
  if (collection === 'io.atcr.manifest') {
    const record = {
      $type: collection,
      repository,
      digest: `sha256:${hex}`,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      schemaVersion: 2,
      holdDid: 'did:web:hold.example',
      config: layer(9),
      layers: [1, 2, 3, 4, 5].map(layer),
      createdAt: time,
    }
    return { rkey: hex, record }
  }
  const record = { $type: collection, repository, tag: `v${index}`, manifestDigest: `sha256:${hex}`, createdAt: time, updatedAt: time } // prettier-ignore
  return { rkey: `${repository}_v${index}`, record }
}

const collections = ['io.atcr.manifest', 'io.atcr.tag']

/** The PDS of all of them. */
function serve(): void {
  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://pds')
    const did = url.searchParams.get('did') ?? url.searchParams.get('repo') ?? ''
    const repo = Number(did.slice('did:plc:bench'.length))
    const answer = (body: object) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    if (url.pathname.endsWith('getLatestCommit')) return answer({ cid, rev })
    if (url.pathname.endsWith('describeRepo')) {
      return answer({ handle: 'bench.test', did, didDoc: {}, collections, handleIsCorrect: true })
    }
    const collection = url.searchParams.get('collection') ?? ''
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const to = Math.min(from + Number(url.searchParams.get('limit') ?? 50), Math.ceil(perRepo / 2))
    const records = []
    for (let index = from; index < to; index++) {
      const { rkey, record } = recordOf(collection, repo, index)
      records.push({ uri: `at://${did}/${collection}/${rkey}`, cid, value: record })
    }
    return answer({ records, ...(to < Math.ceil(perRepo / 2) && { cursor: String(to) }) })
  })
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as { port: number }).port))
}

const mebibytes = () => Math.round(process.memoryUsage().rss / 1024 / 1024)

async function measureBackfill(db: AppViewDb, pdsUrl: string): Promise<void> {
  const backfill = new Backfill({
    db,
    identities: { resolveDid: async (did) => ({ did, handle: undefined, pdsUrl, holdUrl: undefined, document: { id: did } }) }, // prettier-ignore
    fetch: globalThis.fetch,
    relayUrls: [],
    knownDids: [],
    onRead: () => undefined,
    now: () => new Date(),
    log,
  })
  const started = performance.now()
  await backfill.enqueue(Array.from({ length: repoCount }, (_, repo) => didOf(repo)))
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, mebibytes())
  }, 100)
  const say = async () => {
    const { done, recordCount: read } = await backfill.progress()
    console.log(`${((performance.now() - started) / 1000).toFixed(0)} s: ${done} repos, ${read} records, ${mebibytes()} MiB`) // prettier-ignore
  }
  const report = setInterval(() => void say(), 5000)
  backfill.start()
  await backfill.idle()
  clearInterval(timer)
  clearInterval(report)
  const seconds = (performance.now() - started) / 1000
  const { recordCount: read, failed } = await backfill.progress()
  await backfill[Symbol.asyncDispose]()
  console.log(`backfill: ${read} records of ${repoCount} repos in ${seconds.toFixed(1)} s, ${Math.round(read / seconds)} records/s, ${failed} failed, at most ${peak} MiB`) // prettier-ignore
}

async function measureEvents(db: AppViewDb): Promise<void> {
  const count = Math.min(recordCount, 20_000)
  const event = (index: number): NetworkEvent => {
    const collection = collections[index % 2] ?? ''
    const repo = 900_000 + (index % 50)
    const { rkey, record } = recordOf(collection, repo, index >> 1)
    const place = { cursor: index + 1, did: didOf(repo), collection, rkey }
    return { kind: 'put', ...place, rev: lastTidOf(committedMicros + index), cid, record }
  }
  const nothing = () => undefined
  await using consumer = new Consumer({
    db,
    log,
    source: 'bench',
    idleCursorStep: 1,
    async *events(cursor) {
      for (let index = cursor; index < count; index++) yield event(index)
    },
    requestIdentity: nothing,
    renewIdentity: nothing,
    requestHold: nothing,
    forgetIdentity: nothing,
    requestReading: async () => undefined,
    onGap: async () => undefined,
  })
  const started = performance.now()
  consumer.start()
  await consumer.reached(count)
  const seconds = (performance.now() - started) / 1000
  console.log(`events: ${count} in ${seconds.toFixed(1)} s, ${Math.round(count / seconds)} events/s, a transaction each; ${mebibytes()} MiB`) // prettier-ignore
}

if (process.argv.includes('--serve')) serve()
else {
  const parameters = [import.meta.filename, String(recordCount), String(repoCount), '--serve']
  const pds = spawn(process.execPath, parameters, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const folder = await mkdtemp(join(tmpdir(), 'atcr-bench-'))
  try {
    const [port] = (await once(pds, 'message')) as [number]
    const db = await openDatabase<AppViewTables>({ path: join(folder, 'ui.db') }, migrations)
    console.log(`empty: ${mebibytes()} MiB`)
    await measureBackfill(db, `http://127.0.0.1:${port}`)
    await measureEvents(db)
    await db.destroy()
  } finally {
    pds.kill()
    await rm(folder, { recursive: true, force: true })
  }
}
