import { sleep } from '../../src/lib/clock.ts'
import { OciClient } from '../../test/network/oci-client.ts'
import { imageOfLayers, randomLayer } from '../../test/network/sample-image.ts'
import type { MeasuredProcess } from './measured-process.ts'
import { Programs } from './programs.ts'
import { RawConnection } from './raw-connection.ts'

export interface ConnectionLoad {
  /** Connections that made one request and then say nothing. */
  idleCount: number
  /** Connections that ask as fast as they are answered. */
  activeCount: number
  /** Requests over all active connections, to each program. */
  requestCount: number
  progress?: (text: string) => void
}

interface Moment {
  mebibytes: number
  sockets: number
  all: number
}

/** What a program was like at four moments, and what its clients saw. */
export interface ConnectionFigures {
  program: 'AppView' | 'hold'
  /** Warm, before the idle ones come; with them; after the load; when all have gone. */
  before: Moment
  withIdle: Moment
  afterLoad: Moment
  after: Moment
  peakMebibytes: number
  requests: number
  seconds: number
  errors: string[]
  /** Of a small request that is made every few milliseconds beside the load: what the event loop makes it wait. */
  lagMs: { median: number; p99: number; max: number }
}

interface Ask {
  method: 'GET' | 'HEAD'
  path: string
  headers: Record<string, string>
  status: number
}

const layerBytes = 256 * 1024

/** Thousands of connections at an AppView and a hold, each a process of its own, one after the other. */
export async function measureConnections(load: ConnectionLoad): Promise<ConnectionFigures[]> {
  const { progress = () => undefined } = load
  progress('starting the network')
  await using programs = await Programs.start()
  const { alice } = programs.network.accounts
  await using appview = await programs.startAppView({ ATCR_SERVER_UPLOAD_MODE: 'direct' })
  const name = `${alice.handle}/connections`
  const client = new OciClient({ registryUrl: appview.url, username: alice.handle, password: alice.appPassword }) // prettier-ignore
  const layer = await randomLayer(layerBytes)
  const image = imageOfLayers([layer])
  await client.pushImage(name, image, 'latest')

  const anonymous = await fetch(`${appview.url}/auth/token?scope=repository:${name}:pull`)
  const { token } = (await anonymous.json()) as { token: string }
  const headers = { authorization: `Bearer ${token}`, accept: 'application/vnd.oci.image.manifest.v1+json' }
  const pulls: Ask[] = [
    { method: 'GET', path: '/v2/', headers, status: 200 },
    { method: 'HEAD', path: `/v2/${name}/manifests/latest`, headers, status: 200 },
    { method: 'GET', path: `/v2/${name}/manifests/${image.digest}`, headers, status: 200 },
    { method: 'HEAD', path: `/v2/${name}/blobs/${layer.digest}`, headers, status: 200 },
    { method: 'GET', path: `/v2/${name}/blobs/${layer.digest}`, headers, status: 307 },
    { method: 'GET', path: '/', headers: { accept: 'text/html' }, status: 200 },
  ]
  const redirect = await fetch(`${appview.url}/v2/${name}/blobs/${layer.digest}`, {
    headers,
    redirect: 'manual',
  })
  const location = new URL(redirect.headers.get('location') ?? '')
  const holdUrl = `http://127.0.0.1:${programs.network.ports.hold}`
  const digest = `/xrpc/com.atproto.sync.getBlob?did=x&cid=${layer.digest}`
  const downloads: Ask[] = [
    { method: 'GET', path: location.pathname + location.search, headers: {}, status: 200 },
    { method: 'GET', path: digest, headers: {}, status: 200 },
    { method: 'GET', path: '/.well-known/did.json', headers: {}, status: 200 },
  ]
  return [
    await measureOne('AppView', appview.process, appview.url, pulls, load),
    await measureOne('hold', programs.hold, holdUrl, downloads, load),
  ]
}

async function measureOne(
  program: ConnectionFigures['program'],
  running: MeasuredProcess,
  url: string,
  asks: readonly Ask[],
  { activeCount, idleCount, progress = () => undefined, requestCount }: ConnectionLoad,
): Promise<ConnectionFigures> {
  progress(`${program}: warming up`)
  const warm = await runLoad(url, asks, { activeCount, requestCount: Math.ceil(requestCount / 2) })
  await settledSockets(running, 50)
  const before = await momentOf(running)
  await running.resetPeak()

  progress(`${program}: ${idleCount} idle connections`)
  const idle: RawConnection[] = []
  const errors = [...warm.errors]
  for (let count = 0; count < idleCount; count += 50) {
    const some = Array.from({ length: Math.min(50, idleCount - count) }, async () => {
      const connection = await RawConnection.open(url)
      // One that says nothing is not kept for long.
      const { status } = await connection.request('GET', '/health', {})
      if (status !== 200) errors.push(`/health: ${status}`)
      return connection
    })
    idle.push(...(await Promise.all(some)))
  }
  const withIdle = await momentOf(running)

  progress(`${program}: ${requestCount} requests over ${activeCount} more`)
  const stop = new AbortController()
  const lag = watchLag(url, stop.signal)
  const startedAtMs = performance.now()
  const done = await runLoad(url, asks, { activeCount, requestCount })
  const seconds = (performance.now() - startedAtMs) / 1000
  stop.abort()
  const waits = (await lag).toSorted((a, b) => a - b)
  errors.push(...done.errors)
  const afterLoad = await momentOf(running)
  const peakMebibytes = await running.peakMebibytes()
  for (const connection of idle) connection.close()
  await settledSockets(running, before.sockets)
  const after = await momentOf(running)
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0
  const lagMs = { median: at(0.5), p99: at(0.99), max: at(1) }
  return { program, before, withIdle, afterLoad, after, peakMebibytes, requests: done.requests, seconds, errors, lagMs } // prettier-ignore
}

async function runLoad(
  url: string,
  asks: readonly Ask[],
  { activeCount, requestCount }: { activeCount: number; requestCount: number },
): Promise<{ requests: number; errors: string[] }> {
  const errors: string[] = []
  let asked = 0
  const work = async () => {
    const connection = await RawConnection.open(url)
    try {
      while (asked < requestCount) {
        const ask = asks[asked++ % asks.length] as Ask
        const { status } = await connection.request(ask.method, ask.path, ask.headers)
        if (status !== ask.status) errors.push(`${ask.method} ${ask.path.split('?', 1)[0]}: ${status}`)
      }
    } catch (error) {
      errors.push((error as Error).message)
    } finally {
      connection.close()
    }
  }
  await Promise.all(Array.from({ length: activeCount }, work))
  return { requests: asked, errors }
}

/** How long `/health` takes, asked over and over: whatever else the event loop does stands before it. */
async function watchLag(url: string, signal: AbortSignal): Promise<number[]> {
  const connection = await RawConnection.open(url)
  const waits: number[] = []
  while (!signal.aborted) {
    const startedAtMs = performance.now()
    await connection.request('GET', '/health', {})
    waits.push(performance.now() - startedAtMs)
    await sleep(5)
  }
  connection.close()
  return waits
}

async function momentOf(running: MeasuredProcess): Promise<Moment> {
  return { mebibytes: await running.residentMebibytes(), ...(await running.openCounts()) }
}

/** Waits until connections that were closed are closed on the other side too, and gives up after a minute. */
async function settledSockets(running: MeasuredProcess, countMax: number): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    if ((await running.openCounts()).sockets <= countMax) return
    await sleep(100)
  }
}
