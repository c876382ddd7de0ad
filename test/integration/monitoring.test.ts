import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { copyLog, setLogLevel } from '../../src/lib/log.ts'
import { describeMetrics } from '../../src/lib/metrics.ts'
import { findFreePort } from '../network/listening.ts'
import { parseMetrics, sumOf } from '../network/metrics.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { bytesOf, client } from './registry-clients.ts'

/**
 * Goal: what operators graph, read in the log and ask about health is true. Method: pushes and pulls through the whole
 * network, then what `/metrics`, the log and `/ready` say.
 */

let network: TestNetwork
let metricsUrl: string

const scrape = async () => {
  const response = await fetch(metricsUrl)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toContain('text/plain')
  return parseMetrics(await response.text())
}

beforeAll(async () => {
  const addr = `127.0.0.1:${await findFreePort()}`
  metricsUrl = `http://${addr}/metrics`
  network = await TestNetwork.create({ uploadMode: 'relay', appview: { metrics: { enabled: true, addr } } })
})
afterAll(() => network?.[Symbol.asyncDispose]())

describe('metrics', () => {
  test('a push and a pull are counted at every stop', async () => {
    const repository = 'alice.test/monitored'
    const image = imageOfFiles({ hello: 'metrics' })
    const before = (await scrape()).samples
    await client(network, 'alice').pushImage(repository, image, 'v1')
    await network.settled()
    const anyone = client(network)
    await anyone.pullManifest(repository, 'v1')
    for (const { digest } of image.blobs) await bytesOf(await anyone.pullBlob(repository, digest))
    const { samples } = await scrape()
    const gain = (name: string, labels: Record<string, string> = {}) =>
      sumOf(samples, name, labels) - sumOf(before, name, labels)
    const blobCount = image.blobs.length
    const bytes = image.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    expect(gain('atcr_appview_manifest_pushes_total')).toBe(1)
    expect(gain('atcr_appview_uploads_total', { mode: 'relay', outcome: 'stored' })).toBe(blobCount)
    expect(gain('atcr_appview_upload_bytes_total', { mode: 'relay' })).toBe(bytes)
    expect(gain('atcr_hold_uploads_total', { mode: 'relay', outcome: 'stored' })).toBe(blobCount)
    expect(gain('atcr_hold_upload_bytes_total', { mode: 'relay' })).toBe(bytes)
    expect(gain('atcr_hold_presigned_urls_total', { what: 'part' })).toBe(blobCount)
    expect(gain('atcr_hold_presigned_urls_total', { what: 'read' })).toBeGreaterThanOrEqual(blobCount)
    expect(gain('atcr_hold_manifest_notices_total', { operation: 'push' })).toBe(1)
    expect(gain('atcr_appview_pulls_total', { how: 'manifest' })).toBe(1)
    expect(gain('atcr_appview_pulls_total', { how: 'redirect' })).toBe(blobCount)
    const requests = 'atcr_http_request_duration_seconds_count'
    expect(gain(requests, { program: 'appview', route: 'manifest', method: 'GET', status: '2xx' })).toBe(1)
    expect(gain(requests, { program: 'appview', route: 'blob', method: 'GET', status: '3xx' })).toBe(
      blobCount,
    )
    expect(gain(requests, { program: 'hold', route: 'upload-control' })).toBeGreaterThanOrEqual(3 * blobCount)
    const calls = 'atcr_upstream_request_duration_seconds_count'
    expect(gain(calls, { program: 'appview', target: 'pds', outcome: 'ok' })).toBeGreaterThan(0)
    expect(gain(calls, { program: 'appview', target: 'hold', outcome: 'ok' })).toBeGreaterThan(0)
    expect(gain(calls, { program: 'appview', target: 'storage', outcome: 'ok' })).toBe(blobCount)
    expect(gain('atcr_appview_index_events_total')).toBeGreaterThan(0)
    const lastEvent = 'atcr_appview_index_last_event_timestamp_seconds'
    expect(sumOf(samples, lastEvent, { source: 'jetstream' })).toBeGreaterThan(0)
    expect(gain('atcr_hold_repo_commits_total')).toBeGreaterThan(0)
    if (process.env['TEST_DATABASE'] !== 'postgres')
      expect(
        sumOf(samples, 'atcr_database_file_bytes', { program: 'appview', file: 'main' }),
      ).toBeGreaterThan(0)
    expect(sumOf(samples, 'atcr_metrics_read_failures_total')).toBe(0)
  })

  test('what is scraped is what the documentation lists, and no label is a name of somebody', async () => {
    const { families, samples } = await scrape()
    const ours = [...families.keys()].filter((name) => name.startsWith('atcr_'))
    const declared = describeMetrics()
    expect(ours.sort()).toEqual(declared.map(({ name }) => name).sort())
    for (const { name, kind } of declared) expect([name, families.get(name)]).toEqual([name, kind])
    const values = new Set(
      samples
        .filter(({ name }) => name.startsWith('atcr_'))
        .flatMap(({ labels }) => Object.entries(labels))
        // Sources are named in the settings; bounds of buckets are numbers.
        .filter(([label]) => label !== 'source' && label !== 'le')
        .map(([, value]) => value),
    )
    expect([...values].filter((value) => !/^[a-z0-9_-]{1,24}$/i.test(value))).toEqual([])
    expect(families.has('nodejs_eventloop_lag_seconds')).toBe(true)
    expect(families.has('process_resident_memory_bytes')).toBe(true)
  })

  test('they are on their own listener and nowhere else', async () => {
    for (const url of [network.appview.url, network.hold.url]) {
      expect((await fetch(`${url}/metrics`)).status).toBe(404)
    }
    expect((await fetch(new URL('/v2/', metricsUrl))).status).toBe(404)
  })

  test('strangers cannot make more of them', async () => {
    const countOf = async () => (await scrape()).samples.length
    const ask = async (name: string) => {
      for (const path of [`/v2/${name}/manifests/${name}`, `/v2/${name}`, `/${name}`, `/r/${name}/${name}`])
        await fetch(network.appview.url + path, { method: 'GET' }).then((it) => it.arrayBuffer())
      for (const path of [`/xrpc/${name}`, `/blobs/${name}`, `/${name}`])
        await fetch(network.hold.url + path).then((it) => it.arrayBuffer())
    }
    await ask('first.test')
    const count = await countOf()
    for (let index = 0; index < 20; index++) await ask(`other${index}.test`)
    expect(await countOf()).toBe(count)
  })
})

describe('the log', () => {
  /** What is logged while `work` goes on. */
  async function linesOf(work: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
    const lines: Record<string, unknown>[] = []
    setLogLevel('info')
    using _copy = copyLog((line) => void lines.push(JSON.parse(line) as Record<string, unknown>))
    try {
      await work()
    } finally {
      setLogLevel('silent')
    }
    return lines
  }

  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
  const repository = 'alice.test/followed'

  test('one push can be followed through both programs, and says what an operator asks', async () => {
    const image = imageOfFiles({ hello: 'trace' })
    const { handle: username, appPassword: password } = network.accounts.alice
    const headers = { traceparent, 'x-request-id': 'push-17' }
    const alice = new OciClient({ registryUrl: network.appview.url, username, password, headers })
    const lines = await linesOf(async () => {
      await alice.pushImage(repository, image, 'v1')
      await network.settled()
    })
    const traced = lines.filter((line) => line['traceId'] === traceId)
    expect(traced.every((line) => line['requestId'] === 'push-17')).toBe(true)
    const said = (name: string, msg: string) =>
      traced.filter((line) => line['name'] === name && line['msg'] === msg)
    const blobCount = image.blobs.length
    expect(said('hold:blobs', 'presigned')).toHaveLength(blobCount)
    expect(said('hold:uploads', 'upload finished')).toHaveLength(blobCount)
    expect(said('appview:uploads', 'push: a blob was relayed to the hold')).toHaveLength(blobCount)
    const [registered] = said('appview:manifests', "push: a manifest was registered in its owner's data repo")
    const { did } = network.accounts.alice
    expect(registered).toMatchObject({
      account: did,
      repository: `${did}/followed`,
      tags: ['v1'],
      digest: image.digest,
    })
    // Spans are those of the programs, not of the caller.
    expect(new Set(traced.map((line) => line['spanId'])).size).toBeGreaterThan(2)
    // The hold is told from a queue, which no request waits for.
    const told = lines.filter((line) => line['msg'] === 'manifest registered')
    expect(told).toHaveLength(1)
    expect(told[0]).toMatchObject({ name: 'hold:manifests', digest: image.digest, repository: 'followed' })
    expect(told[0]?.['traceId']).not.toBe(traceId)
  })

  test('a pull is one line a request, and no line has a secret in it', async () => {
    const anyone = client(network)
    const lines = await linesOf(async () => {
      const { bytes } = await anyone.pullManifest(repository, 'v1')
      const { layers } = JSON.parse(Buffer.from(bytes).toString()) as { layers: { digest: string }[] }
      for (const { digest } of layers) await bytesOf(await anyone.pullBlob(repository, digest))
    })
    const pulls = lines.filter((line) => line['name'] === 'appview:pulls').map((line) => line['msg'])
    expect(pulls).toEqual(['pull: a manifest', 'pull: a blob, by 307 to a presigned URL of the hold'])
    expect(JSON.stringify(lines)).not.toMatch(/sig=|eyJ[\w-]{10}|[Bb]earer |X-Amz-Signature/)
  })

  test('what is no request id and no trace context is not taken over', async () => {
    for (const [id, parent] of [
      ['a b\nc', '00-00000000000000000000000000000000-00f067aa0ba902b7-01'],
      ['x'.repeat(65), `ff-${traceId}-00f067aa0ba902b7-01`],
      ['"}', `00-${traceId.toUpperCase()}-00f067aa0ba902b7-01`],
    ] as const) {
      const headers = { 'x-request-id': id.replace('\n', ' '), traceparent: parent }
      const answer = await fetch(`${network.appview.url}/v2/`, { headers })
      expect(answer.headers.get('x-request-id')).toMatch(/^[\w-]{1,64}$/)
      expect(answer.headers.get('x-request-id')).not.toBe(id)
    }
  })
})

describe('/ready', () => {
  const ready = async (url: string) => {
    const answer = await fetch(`${url}/ready`)
    return [answer.status, await answer.json()] as const
  }

  test('says of every part that it works, and nothing else', async () => {
    expect(await ready(network.appview.url)).toEqual([
      200,
      { status: 'ready', parts: { database: 'ok', keys: 'ok', index: 'ok' } },
    ])
    expect(await ready(network.hold.url)).toEqual([
      200,
      { status: 'ready', parts: { database: 'ok', keys: 'ok', storage: 'ok' } },
    ])
  })
})
