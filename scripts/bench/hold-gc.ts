import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { Secp256k1Keypair } from '@atproto/crypto'

import { holdConfig } from '../../src/hold/config.ts'
import { startHold } from '../../src/hold/start.ts'
import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { call, pushDirect } from '../../test/integration/crash/push.ts'
import { digestOf, freePort, patterned, TestAccount } from '../../test/integration/test-hold.ts'

// Garbage collection of a hold with many blobs on its disk, half of them garbage whose grace period is over, while images
// are pushed: how long it takes, how long a push (one layer of 64 KiB, one config, the notice) takes with and without it,
// and how much memory the process has. `node scripts/bench/hold-gc.ts [blobs] [pushes without] [pushers at once]`.

const blobCount = Number(process.argv[2] ?? 100_000)
const pushCount = Number(process.argv[3] ?? 500)
const pusherCount = Number(process.argv[4] ?? 4)
const layersPerManifest = 50
const longAgo = '2020-01-01T00:00:00.000Z'

setLogLevel('silent')
const folder = await mkdtemp(join(tmpdir(), 'hold-gc-'))
const account = new TestAccount('did:plc:captain', await Secp256k1Keypair.create())
const manifests: string[] = []
const port = await freePort()
const config = holdConfig({
  server: {
    addr: `127.0.0.1:${port}`,
    public_url: `http://localhost:${port}`,
    public: true,
    test_mode: true,
  },
  registration: { owner_did: account.did },
  database: { path: join(folder, 'hold.db') },
})
await using hold = await startHold(config, { fetch: (input) => Promise.resolve(answer(new Request(input))) })
const { database, gc } = hold.context
const target = { url: `http://127.0.0.1:${port}`, did: hold.did, account, mode: 'direct', cutAt: 0 } as const

/** The directory and the PDS of the one owner there is. */
function answer(request: Request): Response {
  const { pathname, searchParams } = new URL(request.url)
  const service = {
    id: '#atproto_pds',
    type: 'AtprotoPersonalDataServer',
    serviceEndpoint: 'https://pds.example',
  }
  if (pathname.includes('did:plc:captain')) return Response.json({ ...account.document, service: [service] })
  if (pathname.endsWith('getRepoStatus')) return Response.json({ did: account.did, active: true })
  if (pathname.endsWith('listRecords')) {
    const start = Number(searchParams.get('cursor') ?? 0)
    const page = manifests.slice(start, start + 100)
    const records = page.map((rkey) => ({
      uri: uriOf(rkey),
      cid: anyCid,
      value: { $type: 'io.atcr.manifest' },
    }))
    return Response.json({ records, cursor: String(start + page.length) })
  }
  return Response.json({ uri: uriOf(searchParams.get('rkey') ?? ''), cid: anyCid, value: {} })
}

const anyCid = 'bafyreigaknpexyvxt76zgkitavbwx6ejgfheup5oybpm77f3pxzrvwpfdi'
const uriOf = (rkey: string) => `at://${account.did}/io.atcr.manifest/${rkey}`

async function fill(): Promise<void> {
  for (let start = 0; start < blobCount; start += 500) {
    const rows = await Promise.all(
      Array.from({ length: Math.min(500, blobCount - start) }, async (_, index) => {
        const bytes = Buffer.from(`blob ${start + index}`)
        const digest = digestOf(bytes)
        const key = blobKey(parseDigest(digest))
        const path = join(folder, 'blobs', key)
        await mkdir(dirname(path), { recursive: true })
        await writeFile(path, bytes)
        return { digest, key, sizeBytes: bytes.length, isGarbage: index % 2 === 0, number: start + index }
      }),
    )
    const blobs = rows.map(({ digest, key, sizeBytes, isGarbage }) => ({
      digest,
      size_bytes: sizeBytes,
      store_key: key,
      verified_at: longAgo,
      stale_key: null,
      stale_until: null,
      condemned_at: isGarbage ? longAgo : null,
    }))
    await database.insertInto('blobs').values(blobs).execute()
    const layers = rows.flatMap(({ digest, sizeBytes, isGarbage, number }) => {
      if (isGarbage) return []
      const rkey = Math.floor(number / layersPerManifest).toString(16).padStart(64, '0') // prettier-ignore
      if (manifests.at(-1) !== rkey) manifests.push(rkey)
      return [{ manifest_uri: uriOf(rkey), digest, user_did: account.did, size_bytes: sizeBytes, rkey: `r${number}`, is_written: 1 }] // prettier-ignore
    })
    await database.insertInto('layers').values(layers).execute()
  }
}

let pushed = 0
async function push(): Promise<number> {
  const number = ++pushed
  const startedAtMs = performance.now()
  const [layer, image] = [Buffer.concat([patterned(65_536, 1), Buffer.from(`${number}`)]), Buffer.from(`config ${number}`)] // prettier-ignore
  for (const bytes of [layer, image]) await pushDirect(target, [bytes], digestOf(bytes))
  const manifest = { config: { digest: digestOf(image) }, layers: [{ digest: digestOf(layer) }] }
  const manifestDigest = digestOf(Buffer.from(JSON.stringify(manifest)))
  manifests.push(manifestDigest.slice('sha256:'.length))
  const notice = { operation: 'push', repository: 'app', userDid: account.did, manifestDigest, manifest }
  await call(target, 'io.atcr.hold.notifyManifest', notice)
  return performance.now() - startedAtMs
}

/** Pushes of several at once, as long as `goesOn` says; their times in ms, in order of length. */
async function pushes(goesOn: () => boolean): Promise<number[]> {
  const times: number[] = []
  const one = async () => {
    while (goesOn()) times.push(await push())
  }
  await Promise.all(Array.from({ length: pusherCount }, one))
  return times.toSorted((a, b) => a - b)
}

const at = (times: readonly number[], share: number) =>
  Number((times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN).toFixed(1))
const megabytes = () => Math.round(process.memoryUsage().rss / 1e6)
const figures = (what: string, times: readonly number[]) => ({
  what,
  pushes: times.length,
  'p50 ms': at(times, 0.5),
  'p99 ms': at(times, 0.99),
  'memory MB': megabytes(),
})

await fill()
await pushes(() => pushed < 20)
const rows = [figures('without', await pushes(() => pushed < 20 + pushCount))]
const startedAtMs = performance.now()
await gc.start({ isDryRun: false })
let isOver = false
let peakMegabytes = 0
const watch = setInterval(() => (peakMegabytes = Math.max(peakMegabytes, megabytes())), 100)
const ended = gc.idle().finally(() => (isOver = true))
rows.push(figures('while garbage is collected', await pushes(() => !isOver)))
const progress = await ended
clearInterval(watch)
console.table(rows)
console.log(
  `${blobCount} blobs: ${progress.state} in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s, ${progress.blobsDeleted} deleted, ` +
    `${progress.manifestsChecked} manifests looked at, ${peakMegabytes} MB at most`,
)
await rm(folder, { recursive: true })
