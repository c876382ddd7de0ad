import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { logger, setLogLevel } from './log.ts'
import { LogShipper } from './log-shipper.ts'
import { Secret } from './secret.ts'

/**
 * Goal: no line of the log is lost without being counted, whatever the log store does, and nothing waits for it.
 * Method: stand-ins that read what comes as strictly as the documents of the three stores say.
 */

type Backend = 'victoria' | 'opensearch' | 'loki'
type Line = Record<string, unknown>

/** Answers a request; `undefined`: as the store would. */
type Mood = (lines: Line[], response: ServerResponse) => boolean

class StoreStandIn implements AsyncDisposable {
  readonly taken: Line[] = []
  readonly requests: { url: string; headers: IncomingMessage['headers'] }[] = []
  mood: Mood = () => false
  readonly #server = createServer((request, response) => void this.#answer(request, response))
  readonly #backend: Backend

  static async start(backend: Backend): Promise<StoreStandIn> {
    const store = new StoreStandIn(backend)
    await new Promise<void>((resolve) => store.#server.listen(0, '127.0.0.1', resolve))
    return store
  }

  private constructor(backend: Backend) {
    this.#backend = backend
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    this.requests.push({ url: request.url ?? '', headers: request.headers })
    try {
      const lines = read[this.#backend](request, Buffer.concat(chunks).toString())
      if (this.mood(lines, response)) return
      this.taken.push(...lines)
      if (this.#backend === 'loki') response.writeHead(204).end()
      else if (this.#backend === 'victoria') response.end()
      else
        response.end(
          JSON.stringify({ took: 1, errors: false, items: lines.map(() => ({ create: { status: 201 } })) }),
        )
    } catch (error) {
      response.writeHead(400).end(String(error))
    }
  }
}

function must(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(what)
}

/** How each store reads a request; throws where it would refuse it. */
const read: Record<Backend, (request: IncomingMessage, body: string) => Line[]> = {
  victoria: ({ url = '', headers }, body) => {
    const { pathname, searchParams } = new URL(url, 'http://store')
    must(pathname === '/insert/jsonline', 'path')
    must(headers['content-type'] === 'application/stream+json', 'content type')
    return body.trimEnd().split('\n').map((text) => {
      const line = JSON.parse(text) as Line
      for (const field of (searchParams.get('_stream_fields') ?? '').split(',')) must(typeof line[field] === 'string', field)
      must(!Number.isNaN(Date.parse(String(line[searchParams.get('_time_field') ?? '']))), '_time_field')
      return { ...line, msg: line[searchParams.get('_msg_field') ?? ''] }
    }) // prettier-ignore
  },
  opensearch: ({ url, headers }, body) => {
    must(url === '/atcr-logs/_bulk', 'path')
    must(headers['content-type'] === 'application/x-ndjson', 'content type')
    must(body.endsWith('\n'), 'The bulk request must be terminated by a newline [\\n]')
    const texts = body.slice(0, -1).split('\n')
    must(texts.length % 2 === 0, 'an action without a document')
    return texts.flatMap((text, place) => {
      const value = JSON.parse(text) as Line
      if (place % 2 === 0) must(JSON.stringify(value) === '{"create":{}}', 'an action')
      else must(!Number.isNaN(Date.parse(String(value['@timestamp']))), '@timestamp')
      return place % 2 === 0 ? [] : [value]
    })
  },
  loki: ({ url, headers }, body) => {
    must(url === '/loki/api/v1/push', 'path')
    must(headers['content-type'] === 'application/json', 'content type')
    const { streams } = JSON.parse(body) as {
      streams: { stream: Record<string, unknown>; values: unknown[][] }[]
    }
    return streams.flatMap(({ stream, values }) => {
      for (const [name, value] of Object.entries(stream)) must(/^[a-zA-Z_]\w*$/.test(name) && typeof value === 'string', `label ${name}`) // prettier-ignore
      return values.map(([time, line]) => {
        must(typeof time === 'string' && /^\d{19}$/.test(time), 'nanoseconds as a string')
        must(typeof line === 'string', 'a line as a string')
        return { ...stream, ...(JSON.parse(line as string) as Line) }
      })
    })
  },
}

const log = logger('shipped')
/** Of a machine that does much else. */
const patience = { timeout: 12_000 }

beforeEach(() => setLogLevel('info'))
afterEach(() => setLogLevel('silent'))

function ship(
  store: { url: string },
  backend: Backend,
  more: Partial<ConstructorParameters<typeof LogShipper>[0]> = {},
) {
  const settings = {
    backend,
    url: store.url,
    batch_size: 10,
    flush_interval: 20,
    username: undefined,
    password: undefined,
  }
  return new LogShipper({ settings, service: 'atcr-test', retryDelayMs: 5, ...more }, backend, store.url)
}

const messages = (store: StoreStandIn) =>
  store.taken.filter(({ name }) => name === 'shipped').map(({ msg }) => msg)
const wanted = (count: number) => Array.from({ length: count }, (_, index) => `line ${index}`)
const write = (count: number) => wanted(count).forEach((text) => log.info({ index: 1 }, text))
const complaints = (store: StoreStandIn) => store.taken.filter(({ name }) => name === 'log-shipper')

test.each(['victoria', 'opensearch', 'loki'] as const)(
  '%s is given every line in its own form',
  async (backend) => {
    await using store = await StoreStandIn.start(backend)
    {
      await using _shipper = ship(store, backend)
      write(25)
      log.error({ err: new Error('with "quotes"\nand lines') }, 'ä line that failed')
    }
    expect(messages(store)).toEqual([...wanted(25), 'ä line that failed'])
    expect(store.taken[0]).toMatchObject({ service: 'atcr-test', level: 'info', index: 1 })
    expect(store.requests.length).toBeGreaterThanOrEqual(3)
  },
)

test.each(['victoria', 'opensearch', 'loki'] as const)(
  '%s that is away for a while is given everything later, once',
  async (backend) => {
    await using store = await StoreStandIn.start(backend)
    const statuses = [500, 429, 401, 503, 404]
    store.mood = (_, response) => {
      const status = statuses.shift()
      if (status !== undefined) response.writeHead(status, { 'retry-after': '0' }).end('not now')
      return status !== undefined
    }
    {
      await using _shipper = ship(store, backend)
      write(5)
      await expect.poll(() => messages(store).length, patience).toBe(5)
      // That it is back is told when the answer has come here.
      await expect.poll(() => complaints(store).length, patience).toBe(2)
    }
    expect(messages(store)).toEqual(wanted(5))
    expect(complaints(store).map(({ msg }) => msg)).toEqual([
      'the log store does not take lines; they wait',
      'the log store takes lines again',
    ])
  },
)

test('a connection that breaks off, or is refused, loses nothing', async () => {
  await using store = await StoreStandIn.start('loki')
  let breakCount = 3
  store.mood = (_, response) => {
    if (breakCount-- <= 0) return false
    response.destroy()
    return true
  }
  {
    await using _shipper = ship(store, 'loki')
    write(12)
    await expect.poll(() => messages(store).length, patience).toBe(12)
  }
  expect(messages(store)).toEqual(wanted(12))
})

test('lines that OpenSearch refuses inside of a 200 are counted, busy ones are sent again, the others are not', async () => {
  await using store = await StoreStandIn.start('opensearch')
  let round = 0
  store.mood = (lines, response) => {
    if (round++ > 0) return false
    const items = lines.map((line, place) => {
      if (place === 1)
        return {
          create: { status: 400, error: { type: 'mapper_parsing_exception', reason: 'no such field' } },
        }
      if (place === 2)
        return { create: { status: 429, error: { type: 'rejected_execution_exception', reason: 'full' } } }
      store.taken.push(line)
      return { create: { status: 201 } }
    })
    response.end(JSON.stringify({ errors: true, items }))
    return true
  }
  {
    await using _shipper = ship(store, 'opensearch', { lossReportMs: 10 })
    write(4)
    await expect.poll(() => complaints(store).length, patience).toBeGreaterThanOrEqual(3)
  }
  expect(messages(store)).toEqual(['line 0', 'line 3', 'line 2'])
  expect(complaints(store)).toContainEqual(
    expect.objectContaining({
      refused: 1,
      dropped: 0,
      reason: expect.stringContaining('mapper_parsing_exception'),
    }),
  )
})

test('a batch that is too large is sent in halves', async () => {
  await using store = await StoreStandIn.start('victoria')
  store.mood = (lines, response) => {
    if (lines.length <= 3) return false
    response.writeHead(413).end('too large')
    return true
  }
  {
    await using _shipper = ship(store, 'victoria')
    write(10)
  }
  expect(messages(store)).toEqual(wanted(10))
})

test('a store that hangs holds nobody up; what the queue has no room for is counted and said', async () => {
  await using store = await StoreStandIn.start('victoria')
  let isHanging = true
  store.mood = () => isHanging
  const lossesOf = (lines: Line[]) =>
    lines.map(({ dropped }) => Number(dropped ?? 0)).reduce((a, b) => a + b, 0)
  const said: Line[] = []
  {
    await using _shipper = ship(store, 'victoria', {
      queueBytesMax: 1000,
      lossReportMs: 10,
      stopPatienceMs: 50,
    })
    write(40)
    // Standard output has them all the same; here it is the copies that are looked at.
    const { copyLog } = await import('./log.ts')
    using _copy = copyLog((line) => void said.push(JSON.parse(line) as Line))
    await expect.poll(() => lossesOf(said), patience).toBeGreaterThan(20)
    isHanging = false
  }
  expect(store.requests.length).toBe(1)
})

test('a stop waits for the store with patience, and says what was lost', async () => {
  await using store = await StoreStandIn.start('loki')
  store.mood = () => true
  const { copyLog } = await import('./log.ts')
  const said: Line[] = []
  using _copy = copyLog((line) => void said.push(JSON.parse(line) as Line))
  {
    await using _shipper = ship(store, 'loki', { stopPatienceMs: 50 })
    write(7)
  }
  expect(said).toContainEqual(
    expect.objectContaining({ name: 'log-shipper', dropped: 7, reason: 'the program ended' }),
  )
})

test('a password is shown to the store and in no line', async () => {
  await using store = await StoreStandIn.start('loki')
  store.mood = (_, response) => {
    if (store.requests.length > 1) return false
    response.writeHead(401).end()
    return true
  }
  {
    const settings = { backend: 'loki', url: store.url, batch_size: 10, flush_interval: 20, username: 'ops', password: new Secret('hunter2') } as const // prettier-ignore
    await using _shipper = new LogShipper(
      { settings, service: 'atcr-test', retryDelayMs: 5 },
      'loki',
      store.url,
    )
    write(1)
    await expect.poll(() => messages(store).length, patience).toBe(1)
  }
  expect(store.requests[0]?.headers.authorization).toBe(
    `Basic ${Buffer.from('ops:hunter2').toString('base64')}`,
  )
  expect(JSON.stringify(store.taken)).not.toContain('hunter2')
})
