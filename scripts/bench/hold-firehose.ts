import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

import { Secp256k1Keypair } from '@atproto/crypto'
import { WebSocket } from 'ws'

import { pdsMigrations, type PdsTables } from '../../src/hold/db/pds-tables.ts'
import { Outbox } from '../../src/hold/pds/outbox.ts'
import { HoldRepo } from '../../src/hold/pds/repo.ts'
import { systemNow } from '../../src/lib/clock.ts'
import { openDatabase } from '../../src/lib/database.ts'

// How many events a second the hold's firehose delivers to 1, 10, 50 and 200 subscribers, live while commits are made, and
// replayed from the database to all who come back with an old cursor. Subscribers are in a thread of their own:
// `node scripts/bench/hold-firehose.ts [events]`.

const eventCount = Number(process.argv[2] ?? 1000)
const subscriberCounts = [1, 10, 50, 200]

/** For the thread of the subscribers: it says `ready`, waits for a word, and says `open` and `done` when all are. */
interface Order {
  url: string
  subscribers: number
  events: number
}

if (isMainThread) await main()
else {
  parentPort?.once('message', () => subscribe(workerData as Order))
  parentPort?.postMessage('ready', [])
}

function subscribe({ url, subscribers, events }: Order): void {
  let openCount = 0
  let doneCount = 0
  for (let index = 0; index < subscribers; index += 1) {
    const socket = new WebSocket(url, { perMessageDeflate: false })
    let seen = 0
    socket.on('open', () => (openCount += 1) === subscribers && parentPort?.postMessage('open', []))
    socket.on('message', () => {
      seen += 1
      if (seen !== events) return
      socket.close()
      doneCount += 1
      if (doneCount === subscribers) parentPort?.postMessage('done', [])
    })
  }
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hold-firehose-'))
  const database = await openDatabase<PdsTables>({ path: join(folder, 'hold.db') }, pdsMigrations)
  const signingKey = await Secp256k1Keypair.create()
  const repo = await HoldRepo.open({ database, did: 'did:web:hold.example', signingKey, now: systemNow })
  const outbox = new Outbox({ sequencer: repo.sequencer })
  const server = createServer()
  server.on('upgrade', (request, socket, head: Buffer) => void outbox.handleUpgrade(request, socket, head))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/xrpc/com.atproto.sync.subscribeRepos`

  const live: object[] = []
  const replayed: object[] = []
  for (const subscribers of subscriberCounts) {
    const cursor = repo.sequencer.newestSeq
    const writing = new Worker(import.meta.filename, { workerData: { url, subscribers, events: eventCount } })
    await told(writing, 'ready')
    writing.postMessage('go', [])
    await told(writing, 'open')
    live.push(
      await measure(subscribers, async () => {
        const done = told(writing, 'done')
        for (let index = 0; index < eventCount; index += 1) {
          await repo.createRecord('app.example.note', undefined, { index, text: 'x'.repeat(300) })
        }
        await done
      }),
    )
    await writing.terminate()
    const reading = new Worker(import.meta.filename, {
      workerData: { url: `${url}?cursor=${cursor}`, subscribers, events: eventCount },
    })
    await told(reading, 'ready')
    replayed.push(
      await measure(subscribers, () => {
        reading.postMessage('go', [])
        return told(reading, 'done')
      }),
    )
    await reading.terminate()
  }
  console.log('live, with the commits that make the events')
  console.table(live)
  console.log('replayed')
  console.table(replayed)
  await outbox[Symbol.asyncDispose]()
  server.close()
  await database.destroy()
  await rm(folder, { recursive: true })
}

async function measure(subscribers: number, work: () => Promise<void>): Promise<object> {
  const startedAtMs = performance.now()
  const cpu = process.cpuUsage()
  await work()
  const seconds = (performance.now() - startedAtMs) / 1000
  const { user, system } = process.cpuUsage(cpu)
  return {
    subscribers,
    'events/s to each': Math.round(eventCount / seconds),
    'events/s in all': Math.round((eventCount * subscribers) / seconds),
    // Of the whole process, subscribers included.
    'CPU µs/delivery': Math.round((user + system) / (eventCount * subscribers)),
    'MB in memory': Math.round(process.memoryUsage().rss / 1e6),
  }
}

function told(worker: Worker, what: string): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    const listen = (message: unknown) => {
      if (message !== what) return
      worker.off('message', listen)
      resolve()
    }
    worker.on('message', listen)
  })
}
