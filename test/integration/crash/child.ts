import { holdConfig } from '../../../src/hold/config.ts'
import type { BlobKey } from '../../../src/hold/ports/blob-store.ts'
import type { RunningHold } from '../../../src/hold/start.ts'
import { arm, passedPoints, watchEverything } from './points.ts'

/** A hold in a process of its own, that dies where it is told to. Its parent speaks to it by messages. */

/** What a hold finds on its disk when it starts. */
export interface Findings {
  newestSeq: number
  /** Sequence numbers that are missing between the first event and the last. */
  missingSeqs: number[]
  /** Layer rows that claim a record which is not there, and records without a row. */
  layersApart: string[]
  /** Accounts whose running totals are not what their layers add up to. */
  chargesApart: string[]
  /** Digests of blobs whose bytes are others; looked for when asked. */
  rotten: string[]
  /** Objects of the store that are nobody's. */
  orphans: string[]
  /** Uploads that were begun in the store, for whomever. */
  begun: string[]
}

export type Request =
  | { kind: 'open'; settings: Parameters<typeof holdConfig>[0]; documents: Record<string, unknown>; hoursLater: number } // prettier-ignore
  | { kind: 'move'; hoursLater: number }
  | { kind: 'inspect' }
  | { kind: 'settle' }
  | { kind: 'collect' }
  | { kind: 'arm'; point: string | undefined }
  | { kind: 'list points' }

await watchEverything()
const { startHold } = await import('../../../src/hold/start.ts')
const { digestOf } = await import('../../../src/lib/streams.ts')
const { digestOfKey } = await import('../../../src/hold/storage/blob-keys.ts')
const { setLogLevel } = await import('../../../src/lib/log.ts')
setLogLevel('silent')

let hold: RunningHold | undefined
let hoursLater = 0

process.on('message', (request: Request) => {
  void answer(request).then((reply) => process.send?.(reply ?? {}))
})
process.on('disconnect', () => process.exit())
process.send?.({})

async function answer(request: Request): Promise<unknown> {
  switch (request.kind) {
    case 'open': {
      hoursLater = request.hoursLater
      const now = () => new Date(Date.now() + hoursLater * 3_600_000)
      const fetch: typeof globalThis.fetch = async (input, init) => {
        const { hostname, pathname } = new URL(new Request(input).url)
        // An owner's PDS, which a test plays or starts, and a DID directory.
        if (hostname === '127.0.0.1' || hostname === 'localhost') return globalThis.fetch(input, init)
        const did = pathname.slice(1)
        const document = request.documents[did]
        return document === undefined ? new Response('{}', { status: 404 }) : Response.json(document)
      }
      hold = await startHold(holdConfig(request.settings), { fetch, now })
      return await find(hold, false)
    }
    case 'move':
      hoursLater = request.hoursLater
      return undefined
    case 'inspect': {
      if (hold === undefined) throw new Error('nothing is open')
      const { settle, sweep } = hold.context.jobs
      for (const job of [settle, sweep]) {
        job.kick()
        await job.idle()
      }
      return await find(hold, true)
    }
    case 'settle':
      return hold?.context.jobs.settle.idle()
    case 'collect': {
      if (hold === undefined) throw new Error('nothing is open')
      await hold.context.gc.start({ isDryRun: false })
      return await hold.context.gc.idle()
    }
    case 'arm':
      return arm(request.point)
    case 'list points':
      return passedPoints()
  }
}

async function find({ context }: RunningHold, isThorough: boolean): Promise<Findings> {
  const { database, repo, store } = context
  const events = await database.selectFrom('repo_events').select('seq').orderBy('seq').execute()
  const seqs = new Set(events.map(({ seq }) => seq))
  const { newestSeq } = repo.sequencer
  const rows = await database.selectFrom('layers').select(['rkey', 'is_written']).execute()
  const records = await database.selectFrom('repo_records').select('rkey').where('collection', '=', 'io.atcr.hold.layer').execute() // prettier-ignore
  const recordKeys = new Set(records.map(({ rkey }) => rkey))
  const rowKeys = new Set(rows.map(({ rkey }) => rkey))
  const findings: Findings = {
    newestSeq,
    missingSeqs: Array.from({ length: newestSeq }, (_, i) => i + 1).filter((seq) => !seqs.has(seq)),
    layersApart: [
      ...rows.filter((row) => row.is_written === 1 && !recordKeys.has(row.rkey)).map(({ rkey }) => rkey),
      ...[...recordKeys].filter((rkey) => !rowKeys.has(rkey)),
    ],
    chargesApart: await listChargesApart(context),
    rotten: [],
    orphans: [],
    begun: [],
  }
  if (!isThorough) return findings
  const blobs = await database.selectFrom('blobs').selectAll().execute()
  for (const { digest, store_key } of blobs) {
    if ((await digestOf(await store.open(store_key as BlobKey), 'sha256')) !== digest)
      findings.rotten.push(digest)
  }
  const known = new Set(blobs.flatMap((row) => [row.store_key, row.stale_key]))
  for (const { key } of (await store.list('')).objects) {
    if (known.has(key)) continue
    // Verified bytes that came to their key just before the end: the next who looks for them takes them in.
    const digest = digestOfKey(key)
    if (digest === undefined) findings.orphans.push(key)
    else if ((await digestOf(await store.open(key), 'sha256')) !== digest) findings.rotten.push(digest)
  }
  findings.begun = (await store.listUploads()).uploads.map(({ key }) => key)
  return findings
}

async function listChargesApart({ database }: RunningHold['context']): Promise<string[]> {
  const layers = await database.selectFrom('layers').select(['user_did', 'digest', 'size_bytes']).execute()
  const sums = new Map<string, Map<string, number>>()
  for (const { user_did, digest, size_bytes } of layers) {
    const ofUser = sums.get(user_did) ?? new Map<string, number>()
    sums.set(user_did, ofUser.set(digest, size_bytes))
  }
  const kept = await database.selectFrom('user_usage').selectAll().execute()
  const line = (did: string, blobs: number, bytes: number) => `${did} ${blobs} ${bytes}`
  const wanted = [...sums].map(([did, blobs]) => line(did, blobs.size, [...blobs.values()].reduce((a, b) => a + b, 0))) // prettier-ignore
  const found = kept.map((row) => line(row.user_did, row.blob_count, row.size_bytes))
  return [...wanted.filter((it) => !found.includes(it)), ...found.filter((it) => !wanted.includes(it))]
}
