import { afterAll, beforeAll, expect, test } from 'vitest'

import { now, pagesFixture, putManifest, putTag } from '../../../test/e2e/pages-fixture.ts'

const alice = 'did:plc:alicealicealicealicealic'
let fixture: Awaited<ReturnType<typeof pagesFixture>>

beforeAll(async () => {
  fixture = await pagesFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The messages of a stream, one at a time. */
async function listen(query = '', headers: Record<string, string> = {}) {
  const abort = new AbortController()
  const response = await globalThis.fetch(`${fixture.url}/events/pushes${query}`, {
    headers,
    signal: abort.signal,
  })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const next = async (): Promise<string | undefined> => {
    while (!text.includes('\n\n')) {
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done) return undefined
      text += value
    }
    const [message = '', ...rest] = text.split('\n\n')
    text = rest.join('\n\n')
    return message
  }
  return { response, next, [Symbol.dispose]: () => abort.abort() }
}

async function push(repository: string, tag: string, holdDid?: 'did:web:vault.example') {
  const name = `${repository} ${tag}`
  const digest = await putManifest(fixture.db, {
    owner: alice,
    repository,
    name,
    minutes: 0,
    ...(holdDid && { holdDid }),
  })
  await putTag(fixture.db, { owner: alice, repository, tag, digest, minutes: 0 })
}

test('pushes that everyone may see are told once, each as the entry of a list', async () => {
  using stream = await listen()
  expect(stream.response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(stream.response.headers.get('cache-control')).toBe('no-store')
  expect(await stream.next()).toBe('retry: 5000')
  await expect.poll(() => fixture.livePushes.listenerCount).toBe(1)
  await push('live', 'unseen', 'did:web:vault.example')
  await push('live', 'v1')
  const message = (await stream.next()) ?? ''
  expect(
    message.startsWith(
      `event: push\nid: ${now.toISOString()}\ndata: <li data-repository="/r/alice.test/live"`,
    ),
  ).toBe(true)
  expect(message).toContain('v1')
  expect(message).not.toContain('unseen')
  // The same record again, as the event stream brings it after the writer: the next thing told is another push.
  await fixture.db.updateTable('tags').set({ record_rkey: 'live_v1' }).where('tag', '=', 'v1').execute()
  await push('live-too', 'v2')
  expect(await stream.next()).toContain('/r/alice.test/live-too')
})

test('who comes again is told what was missed, and nothing old', async () => {
  await push('missed', 'v1')
  const after = new Date(now.getTime() - 60_000).toISOString()
  for (const stream of [await listen(`?after=${after}`), await listen('', { 'last-event-id': after })]) {
    using it = stream
    expect(await it.next()).toBe('retry: 5000')
    let message = await it.next()
    while (!message?.includes('/r/alice.test/missed"')) {
      expect(message).toBeDefined()
      expect(message).not.toContain('charts/hello')
      message = await it.next()
    }
  }
  using late = await listen(`?after=${now.toISOString()}`)
  expect(await late.next()).toBe('retry: 5000')
})

test('one address has its share of connections, and gets them back', async () => {
  const streams = []
  let refused
  for (let count = 0; count < 20 && refused === undefined; count++) {
    const stream = await listen()
    if (stream.response.status === 200) streams.push(stream)
    else refused = stream.response
  }
  expect(refused?.status).toBe(503)
  expect(refused?.headers.get('retry-after')).toBe('60')
  for (const stream of streams) stream[Symbol.dispose]()
  await expect.poll(() => fixture.livePushes.listenerCount).toBe(0)
  using again = await listen()
  expect(again.response.status).toBe(200)
})

test('who asks for the headers alone takes no place', async () => {
  for (let count = 0; count < 20; count++) {
    const response = await globalThis.fetch(`${fixture.url}/events/pushes`, { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  }
  expect(fixture.livePushes.listenerCount).toBe(0)
})

test('the end of the server ends them', async () => {
  using stream = await listen()
  expect(await stream.next()).toBe('retry: 5000')
  await fixture.livePushes[Symbol.asyncDispose]()
  expect(await stream.next()).toBeUndefined()
  using late = await listen()
  expect(await late.next()).toBeUndefined()
})
