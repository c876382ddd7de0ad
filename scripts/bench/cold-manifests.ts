import type { Account } from '../../test/network/accounts.ts'
import type { Bench } from './bench.ts'
import { targetOf } from './bench.ts'
import type { Target } from './client-jobs.ts'
import { median, percentile, type Figure } from './figures.ts'
import type { MeasuredAppView } from './programs.ts'
import { bearer, ourSide } from './sides.ts'

const repository = 'bench-cold'
const imageCount = 6

/** What was measured, in the order of the table; milliseconds. */
const works = {
  newAppView: 'the first of all at a new AppView',
  first: "an owner's first",
  next: "the owner's next",
  firstFloor: "the calls of an owner's first, made by a bare client",
  nextFloor: 'the calls of the next, made by a bare client',
} as const
type Measured = Record<keyof typeof works, number[]>

/**
 * B3: manifests an AppView has never heard of, with the PDS near and far. Each round is a new AppView: the first image it is
 * asked for is another owner's, so that what a program does once in its life is told apart. The same calls made by a
 * client that does nothing with the answers say how fast it could be with this PDS.
 */
export async function benchColdManifests(bench: Bench): Promise<Figure[]> {
  const { programs, direct } = bench
  const { alice, bob } = programs.network.accounts
  await push(bench, await targetOf(direct, repository), imageCount)
  const { url, processes } = direct
  await push(bench, await targetOf(ourSide('direct', { url, processes, account: bob }), repository), 1)
  const calls = await coldCalls(bench, alice)
  const figures: Figure[] = []
  for (const roundTripMs of bench.isQuick ? [80] : [0, 80]) {
    const measured: Measured = { newAppView: [], first: [], next: [], firstFloor: [], nextFloor: [] }
    for (let round = 0; round < bench.rounds; round++) {
      if (round > 0 && bench.isLate()) break
      bench.assertTime()
      await using appview = await programs.startAppView({
        // Nobody listens there: what it does not ask the PDS for, it does not know.
        ATCR_JETSTREAM_URLS: 'ws://127.0.0.1:9',
        ATCR_LOG_LEVEL: 'silent',
      })
      using _delay = programs.network.gates.faults.add({ kind: 'delay', delayMs: roundTripMs, to: 'pds' })
      measured.newAppView.push(...(await coldPulls(bench, appview, bob, 1)))
      const [first = Number.NaN, ...next] = await coldPulls(bench, appview, alice, imageCount)
      measured.first.push(first)
      measured.next.push(...next)
      const floor = await callFloor(bench, calls)
      measured.firstFloor.push(floor.first)
      measured.nextFloor.push(...floor.next)
    }
    figures.push(...figuresOf(bench, measured, roundTripMs))
  }
  return figures
}

function figuresOf(bench: Bench, measured: Measured, roundTripMs: number): Figure[] {
  const barMs = 2 * roundTripMs + 20
  return (Object.keys(works) as (keyof Measured)[]).map((name) => {
    const values = measured[name]
    const ours = median(values)
    const isFloor = name === 'firstFloor' || name === 'nextFloor'
    const bar = isFloor ? '–' : `≤ 2 round trips + 20 ms = ${barMs} ms`
    const work = `cold manifest GET by tag, ${works[name]}, PDS ${roundTripMs} ms away`
    bench.say(`B3 ${works[name]}, PDS ${roundTripMs} ms away: ${ours.toFixed(1)} ms`)
    return { benchmark: 'B3', work, unit: 'ms', ours, oursP99Ms: percentile(values, 0.99), bar, isMet: isFloor ? undefined : ours <= barMs } // prettier-ignore
  })
}

async function push({ client }: Bench, target: Target, count: number): Promise<void> {
  await client.run({ kind: 'push', target, imageCount: count, layerSizes: [4096], shape: 'single', concurrency: 1, blobConcurrency: 1, tag: 'v#' }) // prettier-ignore
}

/** How long each GET of an owner's tags took, one after the other, as anybody. */
async function coldPulls(
  { client }: Bench,
  { url }: MeasuredAppView,
  { handle }: Account,
  count: number,
): Promise<number[]> {
  const name = `${handle}/${repository}`
  const target = { url, repository: '', authorization: await bearer(url, name) }
  const paths = Array.from({ length: count }, (_, index) => `/v2/${name}/manifests/v${index}`)
  const { latenciesMs } = await client.run({ kind: 'requests', target, method: 'GET', paths, expectedStatus: 200, concurrency: 1, countMax: count, durationMs: 20_000 }) // prettier-ignore
  return latenciesMs
}

interface ColdCalls {
  pdsUrl: string
  plcUrl: string
  handle: string
  document: string
  /** Of each image: its tag's record, its manifest's, and the manifest's bytes. */
  images: [tag: string, manifest: string, bytes: string][]
}

/** What an AppView asks others for, as paths. */
async function coldCalls({ programs }: Bench, { did, handle }: Account): Promise<ColdCalls> {
  const { pds, plc } = programs.network
  const record = (collection: string, rkey: string) =>
    `/xrpc/com.atproto.repo.getRecord?${new URLSearchParams({ repo: did, collection, rkey }).toString()}`
  const read = async (path: string) =>
    ((await (await fetch(pds.url + path)).json()) as { value: Record<string, unknown> }).value
  const images: ColdCalls['images'] = []
  for (let index = 0; index < imageCount; index++) {
    const tag = record('io.atcr.tag', `${repository}_v${index}`)
    const manifest = record(
      'io.atcr.manifest',
      String((await read(tag))['manifest'])
        .split('/')
        .at(-1) ?? '',
    )
    const { manifestBlob } = (await read(manifest)) as { manifestBlob: { ref: { $link: string } } }
    const cid = manifestBlob.ref.$link
    images.push([
      tag,
      manifest,
      `/xrpc/com.atproto.sync.getBlob?${new URLSearchParams({ did, cid }).toString()}`,
    ])
  }
  return {
    pdsUrl: pds.url,
    plcUrl: plc.url,
    handle: `/xrpc/com.atproto.identity.resolveHandle?handle=${handle}`,
    document: `/${did}`,
    images,
  }
}

/** The same calls without an AppView: what can be asked for at the same time counts once, the longer of both. */
async function callFloor(
  { client }: Bench,
  { pdsUrl, plcUrl, handle, document, images }: ColdCalls,
): Promise<{ first: number; next: number[] }> {
  const call = async (url: string, paths: readonly string[]) => {
    const target = { url, repository: '', authorization: undefined }
    const job = { kind: 'requests', target, method: 'GET', paths, expectedStatus: 200, concurrency: 1, countMax: paths.length, durationMs: 20_000 } as const // prettier-ignore
    return (await client.run(job)).latenciesMs
  }
  const [handleMs = Number.NaN] = await call(pdsUrl, [handle])
  const [documentMs = Number.NaN] = await call(plcUrl, [document])
  const times = await call(pdsUrl, images.flat())
  const next = images.map((_, index) => {
    const [tagMs, manifestMs, bytesMs] = times.slice(3 * index) as [number, number, number]
    return tagMs + Math.max(manifestMs, bytesMs)
  })
  return { first: handleMs + documentMs + median(next), next }
}
