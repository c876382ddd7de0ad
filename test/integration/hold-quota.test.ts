import { connect } from 'node:net'
import { readdirSync, statSync } from 'node:fs'

import { afterEach, describe, expect, test } from 'vitest'

import { digestOf, patterned, TestHold, type Driver, type TestAccount } from './test-hold.ts'

const lxm = (name: string) => `io.atcr.hold.${name}`
const tiers = [
  { name: 'small', quota: '10MB' },
  { name: 'large', quota: '30MB' },
]

let hold: TestHold
afterEach(() => hold[Symbol.asyncDispose]())

async function start(driver: Driver = 'filesystem'): Promise<TestAccount> {
  hold = await TestHold.start({ driver, tiers })
  const { member } = hold.accounts
  await admit(member)
  return member
}

const admit = (account: TestAccount, tier?: string) =>
  hold.running.context.crew.admit(account.did, { role: 'member', permissions: ['blob:write'], tier })

const begin = (as: TestAccount, input: Record<string, unknown> = {}) =>
  hold.call(lxm('initiateUpload'), { as, input: { digest: 'uploads/x', direct: true, ...input } })

async function beginAt(as: TestAccount, input: Record<string, unknown> = {}): Promise<string> {
  const { status, body } = await begin(as, input)
  expect(status, JSON.stringify(body)).toBe(200)
  return String(body['uploadUrl']).replace('localhost', '127.0.0.1')
}

const send = (method: string, url: string, body?: Uint8Array) =>
  fetch(url, { method, ...(body === undefined ? {} : { body: new Uint8Array(body) }) })

/** As Docker sends: nobody knows how much will come. */
const stream = (method: string, url: string, body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) =>
  fetch(url, { method, body: ReadableStream.from(body), duplex: 'half' })

async function refusal(response: Response): Promise<unknown[]> {
  const body = (await response.json()) as { errors?: { code: string; message: string }[] }
  return [response.status, body.errors?.[0]?.code, body.errors?.[0]?.message.split(':')[0]]
}
const denied = [403, 'DENIED', 'quota exceeded']

async function upload(as: TestAccount, bytes: Uint8Array): Promise<Response> {
  return send('PUT', `${await beginAt(as)}?digest=${digestOf(bytes)}`, bytes)
}

const notify = (as: TestAccount, manifest: Uint8Array, blobs: readonly Uint8Array[]) =>
  hold.call(lxm('notifyManifest'), {
    as,
    input: {
      operation: 'push',
      repository: 'app',
      userDid: as.did,
      manifestDigest: digestOf(manifest),
      manifest: {
        layers: blobs.map((bytes) => ({ digest: digestOf(bytes), mediaType: 'x/y', size: bytes.length })),
      },
    },
  })

const manifest = (name: string) => Buffer.from(name)

async function quota(of: TestAccount): Promise<unknown[]> {
  const { body } = await hold.call(lxm('getQuota'), { params: { userDid: of.did } })
  return [body['uniqueBlobs'], body['totalSize'], body['limit'], body['tier']]
}

test('tiers are told to anyone; without any, nobody has a limit', async () => {
  const member = await start()
  expect((await hold.call(lxm('listTiers'))).body).toEqual({
    tiers: [
      { name: 'small', quotaBytes: 10e6, quotaFormatted: '10 MB', scanOnPush: false },
      { name: 'large', quotaBytes: 30e6, quotaFormatted: '30 MB', scanOnPush: false },
    ],
  })
  expect(await quota(member)).toEqual([0, 0, 10e6, 'small'])
  await admit(member, 'large')
  expect(await quota(member)).toEqual([0, 0, 30e6, 'large'])
  await admit(member, 'none such')
  expect(await quota(member)).toEqual([0, 0, 10e6, 'small'])
  expect(await quota(hold.accounts.captain)).toEqual([0, 0, undefined, undefined])
  await hold[Symbol.asyncDispose]()
  hold = await TestHold.start()
  expect(await quota(member)).toEqual([0, 0, undefined, undefined])
  expect((await hold.call(lxm('listTiers'))).body).toEqual({ tiers: [] })
})

describe.each<Driver>(['filesystem', 's3'])('direct uploads to %s', (driver) => {
  test('what is announced must fit, and is held until the upload ends', async () => {
    const member = await start(driver)
    const tooMuch = await begin(member, { size: 10_000_001 })
    expect([tooMuch.status, tooMuch.body['error']]).toEqual([403, 'QuotaExceeded'])
    const url = await beginAt(member, { size: 6_000_000 })
    const second = await begin(member, { size: 4_000_001 })
    expect([second.status, second.body['error']]).toEqual([403, 'QuotaExceeded'])
    expect((await send('DELETE', url)).status).toBe(204)
    expect((await begin(member, { size: 10_000_000 })).status).toBe(200)
  })

  test('a body that says how long it is is refused before it is read', async () => {
    const member = await start(driver)
    const url = new URL(await beginAt(member))
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(url.port), url.hostname, () => {
        socket.write(`PATCH ${url.pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000001\r\n\r\n`)
      })
      socket.once('data', (data) => {
        resolve(data.toString())
        socket.destroy()
      })
      socket.on('error', reject)
    })
    expect(answer).toMatch(/^HTTP\/1.1 403 /)
    expect(answer).toContain('quota exceeded: 0 B of the 10 MB of tier small are taken, and this needs 10 MB')
  })

  test('a stream is cut off as soon as it is too long, and nothing of it stays', async () => {
    const member = await start(driver)
    const url = await beginAt(member)
    let sentBytes = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (let seed = 1; ; seed += 1) {
        sentBytes += 500_000
        yield patterned(500_000, seed)
      }
    }
    const response = await stream('PATCH', url, endless()).then(refusal, () => 'cut off')
    expect([denied, 'cut off']).toContainEqual(response)
    // Buffers of the sockets in between come on top.
    expect(sentBytes).toBeLessThan(30e6)
    expect((await send('GET', url)).status).toBe(404)
    expect((await begin(member, { size: 10_000_000 })).status).toBe(200)
  })

  test('exactly what fits, in several requests, and not a byte more', async () => {
    const member = await start(driver)
    const bytes = patterned(10_000_000, 3)
    const url = await beginAt(member)
    expect((await stream('PATCH', url, [bytes.subarray(0, 3_000_000)])).status).toBe(202)
    expect((await stream('PATCH', url, [bytes.subarray(3_000_000)])).status).toBe(202)
    const other = await begin(member)
    expect([other.status, other.body['error']]).toEqual([403, 'QuotaExceeded'])
    expect((await send('PUT', `${url}?digest=${digestOf(bytes)}`)).status).toBe(201)
    expect((await notify(member, manifest('one'), [bytes])).status).toBe(200)
    expect(await quota(member)).toEqual([1, 10_000_000, 10e6, 'small'])
    expect((await begin(member)).status).toBe(403)
    await admit(member, 'large')
    const one = await beginAt(member)
    expect(await refusal(await send('PATCH', one, patterned(20_000_001, 4)))).toEqual(denied)
    expect((await upload(member, patterned(20_000_000, 4))).status).toBe(201)
  })

  test('uploads side by side share what is left, and do not hold more than they need', async () => {
    const member = await start(driver)
    const urls = await Promise.all([1, 2, 3, 4].map(() => beginAt(member)))
    const chunk = patterned(2_500_000, 9)
    const answers = await Promise.all(urls.map((url) => stream('PATCH', url, [chunk])))
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202, 202])
    expect(await refusal(await send('PATCH', String(urls[0]), Buffer.from('x')))).toEqual(denied)
    // That upload is over, so there is room for one more of the same size.
    expect((await begin(member, { size: 2_500_001 })).status).toBe(403)
    expect((await begin(member, { size: 2_500_000 })).status).toBe(200)
  })
})

test('blobs that no manifest names count until they are deleted, or others have them too', async () => {
  const member = await start()
  const bytes = [patterned(4_000_000, 1), patterned(4_000_000, 2)] as const
  for (const blob of bytes) expect((await upload(member, blob)).status).toBe(201)
  expect((await upload(member, bytes[0])).status).toBe(201)
  expect(await quota(member)).toEqual([0, 0, 10e6, 'small'])
  expect((await begin(member, { size: 2_000_001 })).status).toBe(403)
  hold.advance(25 * 3600)
  await hold.restart()
  await sweep()
  expect((await begin(member, { size: 2_000_001 })).status).toBe(403)
  // Somebody else names one, the other is collected.
  expect((await notify(hold.accounts.captain, manifest('theirs'), [bytes[0]])).status).toBe(200)
  await sweep()
  expect((await begin(member, { size: 6_000_001 })).status).toBe(403)
  await hold.running.context.database.deleteFrom('blobs').where('digest', '=', digestOf(bytes[1])).execute()
  expect((await begin(member, { size: 10_000_000 })).status).toBe(200)
})

test('uploads that were abandoned, by a crash or by their client, hold nothing for long', async () => {
  const member = await start()
  const url = await beginAt(member, { size: 5_000_000 })
  await send('PATCH', url, patterned(6_000_000, 1))
  await hold.restart()
  expect((await begin(member, { size: 4_000_001 })).status).toBe(403)
  hold.advance(25 * 3600)
  await sweep()
  expect((await begin(member, { size: 10_000_000 })).status).toBe(200)
})

test('pushing again what is charged already is free; manifests that name what is there are not', async () => {
  const member = await start()
  const { captain } = hold.accounts
  const mine = patterned(9_000_000, 1)
  const base = patterned(2_000_000, 2)
  expect((await upload(member, mine)).status).toBe(201)
  expect((await notify(member, manifest('one'), [mine])).status).toBe(200)
  expect((await notify(member, manifest('two'), [mine])).status).toBe(200)
  expect(await quota(member)).toEqual([1, 9_000_000, 10e6, 'small'])
  const again = await beginAt(member, { digest: digestOf(mine), size: mine.length })
  expect((await begin(member, { digest: digestOf(mine), size: mine.length })).status).toBe(403)
  expect((await send('PUT', `${again}?digest=${digestOf(mine)}`, mine)).status).toBe(201)
  // The captain's blob is not uploaded again, and charged all the same.
  expect((await upload(captain, base)).status).toBe(201)
  const over = await notify(member, manifest('three'), [mine, base])
  expect([over.status, over.body['error']]).toEqual([403, 'QuotaExceeded'])
  expect(String(over.body['message'])).toContain('9.0 MB of the 10 MB')
  expect(await quota(member)).toEqual([1, 9_000_000, 10e6, 'small'])
  expect(await hold.running.context.repo.countRecords('io.atcr.hold.layer')).toBe(2)
  await admit(member, 'large')
  expect((await notify(member, manifest('three'), [mine, base])).status).toBe(200)
  expect(await quota(member)).toEqual([2, 11_000_000, 30e6, 'large'])
})

test('an upload that turns out to be something else than announced is paid for', async () => {
  const member = await start()
  const mine = patterned(9_000_000, 1)
  await upload(member, mine)
  await notify(member, manifest('one'), [mine])
  const other = patterned(9_000_000, 2)
  const url = await beginAt(member, { digest: digestOf(mine), size: mine.length })
  expect(await refusal(await send('PUT', `${url}?digest=${digestOf(other)}`, other))).toEqual(denied)
  expect(await hold.download(digestOf(other), hold.accounts.captain)).toBeUndefined()
  expect(await quota(member)).toEqual([1, 9_000_000, 10e6, 'small'])
})

describe.each<Driver>(['filesystem', 's3'])('relayed uploads to %s', (driver) => {
  const put = async (as: TestAccount, uploadId: string, partNumber: number, bytes: Uint8Array) => {
    const input = { uploadId, partNumber }
    const { status, body } = await hold.call(lxm('getPartUploadUrl'), { as, input })
    if (status !== 200) return { status, error: body['error'], etag: '' }
    const url = String(body['url']).replace('localhost', '127.0.0.1')
    const response = await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })
    return { status: response.status, etag: response.headers.get('etag') ?? '' }
  }
  const beginRelay = async (as: TestAccount, input: Record<string, unknown> = {}) => {
    const { body } = await begin(as, { direct: false, ...input })
    return String(body['uploadId'])
  }
  const complete = (as: TestAccount, uploadId: string, digest: string, parts: unknown[]) =>
    hold.call(lxm('completeUpload'), { as, input: { uploadId, digest, parts } })

  test('parts that cannot fit are refused, and the upload is over', async () => {
    const member = await start(driver)
    const uploadId = await beginRelay(member)
    expect((await put(member, uploadId, 2, patterned(5_300_000, 2))).status).toBe(200)
    expect(await put(member, uploadId, 3, patterned(5_300_000, 3))).toMatchObject({ status: 403 })
    const { body } = await hold.call(lxm('getUploadStatus'), { as: member, params: { uploadIds: uploadId } })
    expect(body['uploads']).toEqual([{ uploadId, status: 'unknown' }])
    expect((await begin(member, { size: 10_000_000 })).status).toBe(200)
  })

  test('what has come is counted at the end, before it is believed', async () => {
    const member = await start(driver)
    const bytes = patterned(9_000_000, 1)
    const uploadId = await beginRelay(member)
    const { etag } = await put(member, uploadId, 1, bytes)
    const rest = patterned(2_000_000, 2)
    expect((await upload(member, rest)).status).toBe(driver === 's3' ? 201 : 403)
    const parts = [{ partNumber: 1, etag }]
    const { status, body } = await complete(member, uploadId, digestOf(bytes), parts)
    // Only the disk's parts pass through here; those of a bucket are seen when they are put together.
    expect([status, body['error']]).toEqual(driver === 's3' ? [403, 'QuotaExceeded'] : [200, undefined])
    const found = await hold.download(digestOf(bytes), member)
    expect(found === undefined).toBe(driver === 's3')
  })
})

test('a part that is too long is refused before it is on the disk', async () => {
  const member = await start()
  const { body } = await begin(member, { direct: false })
  const uploadId = String(body['uploadId'])
  const answer = await hold.call(lxm('getPartUploadUrl'), { as: member, input: { uploadId, partNumber: 1 } })
  const url = String(answer.body['url']).replace('localhost', '127.0.0.1')
  expect(await refusal(await send('PUT', url, patterned(10_000_001, 1)))).toEqual(denied)
  expect(await refusal(await send('PUT', url, patterned(10, 1)))).toEqual([404, 'BLOB_UPLOAD_UNKNOWN', 'no such upload']) // prettier-ignore
  const left = readdirSync(`${hold.folder}/blobs`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(`${entry.parentPath}/${entry.name}`).size)
  expect(left.filter((size) => size > 1000)).toEqual([])
})

/** The sweep that runs every ten minutes. */
async function sweep(): Promise<void> {
  const { sweep: job } = hold.running.context.jobs
  job.kick()
  await job.idle()
}
