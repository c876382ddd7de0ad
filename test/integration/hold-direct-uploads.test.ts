import { connect } from 'node:net'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { blobKey } from '../../src/hold/storage/blob-keys.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { digestOf, patterned, TestHold, type Driver } from './test-hold.ts'

const mebibyte = 1024 * 1024

describe.each<Driver>(['filesystem', 's3'])('direct uploads to %s', (driver) => {
  let hold: TestHold

  beforeAll(async () => {
    hold = await TestHold.start({ driver })
  })
  afterAll(() => hold[Symbol.asyncDispose]())

  /** What the AppView does: asks for an upload, and hands its URL to the client. */
  async function begin(digest = 'uploads/unknown'): Promise<{ url: string; uploadId: string }> {
    const { status, body } = await hold.call('io.atcr.hold.initiateUpload', {
      as: hold.accounts.captain,
      input: { digest, direct: true },
    })
    expect(status).toBe(200)
    const url = String(body['uploadUrl']).replace('localhost', '127.0.0.1')
    return { url, uploadId: String(body['uploadId']) }
  }

  const send = (method: string, url: string, body?: Uint8Array, headers: Record<string, string> = {}) =>
    fetch(url, { method, headers, ...(body === undefined ? {} : { body: new Uint8Array(body) }) })

  /** As Docker sends: chunked, without a length. */
  const streamed = (method: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) => ({
    method,
    body: ReadableStream.from(chunks),
    duplex: 'half' as const,
  })

  async function errorOf(response: Response): Promise<[number, string | undefined]> {
    const body = (await response.json()) as { errors: { code: string }[] }
    return [response.status, body.errors[0]?.code]
  }

  const download = (digest: string) => hold.download(digest, hold.accounts.captain)
  async function expectStored(bytes: Uint8Array, algorithm = 'sha256'): Promise<void> {
    const found = await download(digestOf(bytes, algorithm))
    expect(found !== undefined && found.equals(bytes)).toBe(true)
  }

  test('one PATCH with chunked transfer, then an empty PUT (Docker)', async () => {
    const bytes = patterned(20 * mebibyte + 17, 1)
    const { url, uploadId } = await begin()
    const patched = await fetch(url, streamed('PATCH', [bytes.subarray(0, 1000), bytes.subarray(1000)]))
    expect(patched.status).toBe(202)
    expect(patched.headers.get('range')).toBe(`0-${bytes.length - 1}`)
    expect(patched.headers.get('location')?.replace('localhost', '127.0.0.1')).toBe(url)
    expect(await download(digestOf(bytes))).toBeUndefined()
    const put = await send('PUT', `${url}?digest=${digestOf(bytes)}`)
    expect(put.status).toBe(201)
    expect(put.headers.get('docker-content-digest')).toBe(digestOf(bytes))
    await expectStored(bytes)
    const { body } = await hold.call('io.atcr.hold.getUploadStatus', {
      as: hold.accounts.captain,
      params: { uploadIds: [uploadId, 'never-was'] },
    })
    expect(body['uploads']).toEqual([
      { uploadId, status: 'completed', digest: digestOf(bytes), size: bytes.length, offset: bytes.length },
      { uploadId: 'never-was', status: 'unknown' },
    ])
  })

  test('PUT with the whole body (containerd), large, small and empty', async () => {
    for (const [index, size] of [17 * mebibyte, 8 * mebibyte, 300_000, 12, 0].entries()) {
      const bytes = patterned(size, 10 + index)
      const { url } = await begin()
      const put = await send('PUT', `${url}?digest=${encodeURIComponent(digestOf(bytes))}`, bytes)
      expect(put.status, `${size} bytes`).toBe(201)
      await expectStored(bytes)
    }
  })

  test('many chunks, out of order, resumed, the last in the PUT', async () => {
    const bytes = patterned(700_000, 2)
    const { url } = await begin()
    const chunk = (method: string, from: number, to: number, query = '') =>
      send(method, url + query, bytes.subarray(from, to), { 'content-range': `${from}-${to - 1}` })
    expect((await chunk('PATCH', 0, 300_000)).status).toBe(202)
    const early = await chunk('PATCH', 500_000, 600_000)
    expect(early.status).toBe(416)
    expect(early.headers.get('range')).toBe('0-299999')
    expect(await errorOf(early)).toEqual([416, 'RANGE_INVALID'])
    const again = await chunk('PATCH', 0, 300_000)
    expect(await errorOf(again)).toEqual([416, 'RANGE_INVALID'])
    const status = await send('GET', url)
    expect(status.status).toBe(204)
    expect(status.headers.get('range')).toBe('0-299999')
    expect((await chunk('PATCH', 300_000, 600_000)).status).toBe(202)
    const put = await chunk('PUT', 600_000, 700_000, `?digest=${digestOf(bytes)}`)
    expect(put.status).toBe(201)
    await expectStored(bytes)
  })

  test('a chunk as long as it says, or none of it', async () => {
    const bytes = patterned(1000, 3)
    const { url } = await begin()
    const wrong = await send('PATCH', url, bytes, { 'content-range': '0-500' })
    expect(await errorOf(wrong)).toEqual([400, 'SIZE_INVALID'])
    const garbage = await send('PATCH', url, bytes, { 'content-range': 'all of it' })
    expect(await errorOf(garbage)).toEqual([416, 'RANGE_INVALID'])
    const short = await fetch(url, { ...streamed('PATCH', [bytes]), headers: { 'content-range': '0-4999' } })
    expect(await errorOf(short)).toEqual([400, 'SIZE_INVALID'])
    const long = await fetch(url, { ...streamed('PATCH', [bytes]), headers: { 'content-range': '0-99' } })
    expect(await errorOf(long)).toEqual([400, 'SIZE_INVALID'])
    expect((await send('GET', url)).headers.get('range')).toBe('0-0')
    expect((await send('PUT', `${url}?digest=${digestOf(bytes)}`, bytes)).status).toBe(201)
  })

  test('a connection that breaks keeps what came, and the upload goes on', async () => {
    const bytes = patterned(12 * mebibyte, 4)
    const { url } = await begin()
    await new Promise<void>((resolve, reject) => {
      const { hostname, port, pathname } = new URL(url)
      const socket = connect(Number(port), hostname, () => {
        socket.write(
          `PATCH ${pathname} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`,
          () => {
            socket.write(bytes.subarray(0, 9 * mebibyte), () => socket.destroy())
          },
        )
      })
      socket.on('close', () => resolve())
      socket.on('error', reject)
    })
    const askForOffset = async () => {
      const range = (await send('GET', url)).headers.get('range') ?? ''
      return Number(range.split('-')[1])
    }
    const came = await expect
      .poll(askForOffset, { timeout: 10_000 })
      .toBeGreaterThan(0)
      .then(async () => Number((await send('GET', url)).headers.get('range')?.split('-')[1]) + 1)
    expect(came).toBeLessThanOrEqual(9 * mebibyte)
    const range = `${came}-${bytes.length - 1}`
    const rest = await send('PATCH', url, bytes.subarray(came), { 'content-range': range })
    expect(rest.status).toBe(202)
    expect((await send('PUT', `${url}?digest=${digestOf(bytes)}`)).status).toBe(201)
    await expectStored(bytes)
  })

  test('a small blob whose PUT breaks off keeps what came, also over a restart', async () => {
    const bytes = patterned(900_000, 5)
    const { url } = await begin()
    await new Promise<void>((resolve) => {
      const { hostname, port, pathname } = new URL(url)
      const head = `PUT ${pathname}?digest=${digestOf(bytes)} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`
      const socket = connect(Number(port), hostname, () => {
        socket.write(head, () => socket.write(bytes.subarray(0, 800_000), () => socket.destroy()))
      })
      socket.on('close', () => resolve())
    })
    const rangeOf = async () => (await send('GET', url)).headers.get('range') ?? ''
    await expect.poll(rangeOf, { timeout: 10_000 }).not.toBe('0-0')
    await hold.restart()
    const came = Number((await rangeOf()).split('-')[1]) + 1
    expect(came).toBeLessThanOrEqual(800_000)
    expect(await download(digestOf(bytes))).toBeUndefined()
    const range = `${came}-${bytes.length - 1}`
    const put = await send('PUT', `${url}?digest=${digestOf(bytes)}`, bytes.subarray(came), {
      'content-range': range,
    })
    expect(put.status).toBe(201)
    await expectStored(bytes)
  })

  test('an upload begun before a restart ends after it, and is read back', async () => {
    const bytes = patterned(10 * mebibyte, 5)
    const { url } = await begin()
    expect((await send('PATCH', url, bytes.subarray(0, 9 * mebibyte))).status).toBe(202)
    await hold.restart()
    expect((await send('GET', url)).headers.get('range')).toBe(`0-${9 * mebibyte - 1}`)
    expect((await send('PATCH', url, bytes.subarray(9 * mebibyte))).status).toBe(202)
    expect((await send('PUT', `${url}?digest=${digestOf(bytes)}`)).status).toBe(201)
    await expectStored(bytes)
    const other = await begin()
    expect((await send('PATCH', other.url, bytes.subarray(1))).status).toBe(202)
    await hold.restart()
    const lie = await send('PUT', `${other.url}?digest=${digestOf(patterned(5, 5))}`)
    expect(await errorOf(lie)).toEqual([400, 'DIGEST_INVALID'])
    expect(await download(digestOf(patterned(5, 5)))).toBeUndefined()
  })

  test('sha512, announced by the PUT or only at the end', async () => {
    const [small, large] = [patterned(5000, 6), patterned(9 * mebibyte, 7)]
    for (const bytes of [small, large]) {
      const { url } = await begin()
      expect((await send('PUT', `${url}?digest=${digestOf(bytes, 'sha512')}`, bytes)).status).toBe(201)
      await expectStored(bytes, 'sha512')
    }
    for (const bytes of [small, large]) {
      const changed = Buffer.concat([bytes, Buffer.from('!')])
      const { url } = await begin()
      expect((await send('PATCH', url, changed)).status).toBe(202)
      expect((await send('PUT', `${url}?digest=${digestOf(changed, 'sha512')}`)).status).toBe(201)
      await expectStored(changed, 'sha512')
    }
  })

  test('a wrong digest is refused, and shows nothing under it', async () => {
    for (const size of [10, 400_000, 9 * mebibyte]) {
      const bytes = patterned(size, 8)
      const wanted = digestOf(patterned(size, 9))
      const whole = await begin()
      expect(await errorOf(await send('PUT', `${whole.url}?digest=${wanted}`, bytes))).toEqual([400, 'DIGEST_INVALID']) // prettier-ignore
      const patched = await begin()
      await send('PATCH', patched.url, bytes)
      expect(await errorOf(await send('PUT', `${patched.url}?digest=${wanted}`))).toEqual([400, 'DIGEST_INVALID']) // prettier-ignore
      expect(await download(wanted)).toBeUndefined()
      expect(await errorOf(await send('GET', patched.url))).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
    }
    const { url } = await begin()
    for (const digest of [
      'sha256:abc',
      'md5:d41d8cd98f00b204e9800998ecf8427e',
      `sha256:${'A'.repeat(64)}`,
      '',
    ]) {
      expect(await errorOf(await send('PUT', `${url}?digest=${digest}`))).toEqual([400, 'DIGEST_INVALID'])
    }
    expect(await errorOf(await send('PUT', url))).toEqual([400, 'DIGEST_INVALID'])
  })

  test('bytes interrupted under one digest never appear under it', async () => {
    const bytes = patterned(9 * mebibyte, 20)
    const aimed = digestOf(patterned(9 * mebibyte, 21))
    const { url } = await begin()
    // A PUT that names the wrong digest and breaks off after its first part.
    await new Promise<void>((resolve) => {
      const { hostname, port, pathname } = new URL(url)
      const head = `PUT ${pathname}?digest=${aimed} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`
      const socket = connect(Number(port), hostname, () => {
        socket.write(head, () => socket.write(bytes.subarray(0, bytes.length - 1), () => socket.destroy()))
      })
      socket.on('close', () => resolve())
    })
    await expect.poll(async () => (await send('GET', url)).headers.get('range')).not.toBe('0-0')
    const came = Number((await send('GET', url)).headers.get('range')?.split('-')[1]) + 1
    const put = await send('PUT', `${url}?digest=${digestOf(bytes)}`, bytes.subarray(came))
    expect([201, 404]).toContain(put.status)
    expect(await download(aimed)).toBeUndefined()
  })

  test('cancelled, finished and invented uploads are unknown', async () => {
    const bytes = patterned(100, 11)
    const cancelled = await begin()
    await send('PATCH', cancelled.url, bytes)
    expect((await send('DELETE', cancelled.url)).status).toBe(204)
    const finished = await begin()
    expect((await send('PUT', `${finished.url}?digest=${digestOf(bytes)}`, bytes)).status).toBe(201)
    const invented = `${cancelled.url.slice(0, -3)}abc`
    for (const url of [cancelled.url, finished.url, invented, `${hold.url}/v2/direct/blobs/uploads/x`]) {
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        const response = await send(method, url, method === 'PATCH' ? bytes : undefined)
        expect(await errorOf(response), `${method} ${url}`).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
      }
    }
    // The answer was lost, and the client asks again.
    expect((await send('PUT', `${finished.url}?digest=${digestOf(bytes)}`)).status).toBe(201)
    const other = await send('PUT', `${finished.url}?digest=${digestOf(patterned(9, 9))}`)
    expect(await errorOf(other)).toEqual([404, 'BLOB_UPLOAD_UNKNOWN'])
    expect(await errorOf(await send('POST', finished.url))).toEqual([405, 'UNSUPPORTED'])
  })

  test('of two PATCHes at once one wins, and the digest is right', async () => {
    const bytes = patterned(2 * mebibyte, 12)
    const { url, uploadId } = await begin()
    const range = { 'content-range': `0-${bytes.length - 1}` }
    const answers = await Promise.all([send('PATCH', url, bytes, range), send('PATCH', url, bytes, range)])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([202, 416])

    let go: () => void = () => undefined
    const held = new Promise<void>((resolve) => (go = resolve))
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield bytes
      await held
      yield bytes
    }
    const first = fetch(url, streamed('PATCH', slow()))
    await expect.poll(() => hold.running.context.uploads.isBusy(uploadId)).toBe(true)
    expect(await errorOf(await send('PATCH', url, bytes))).toEqual([416, 'RANGE_INVALID'])
    const early = await send('PUT', `${url}?digest=${digestOf(bytes)}`)
    expect(await errorOf(early)).toEqual([416, 'RANGE_INVALID'])
    go()
    expect((await first).status).toBe(202)
    const whole = Buffer.concat([bytes, bytes, bytes])
    expect((await send('PUT', `${url}?digest=${digestOf(whole)}`)).status).toBe(201)
    await expectStored(whole)
  })

  test('two uploads of one blob at once both succeed', async () => {
    const bytes = patterned(9 * mebibyte, 13)
    const uploads = await Promise.all([begin(), begin(), begin()])
    const answers = await Promise.all(
      uploads.map(async ({ url }, index) => {
        if (index === 0) return send('PUT', `${url}?digest=${digestOf(bytes)}`, bytes)
        await send('PATCH', url, bytes)
        return send('PUT', `${url}?digest=${digestOf(bytes)}`)
      }),
    )
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
    await hold.running.context.jobs.settle.idle()
    await expectStored(bytes)
    const { objects } = await hold.running.context.store.list('docker/registry/v2/blobs/')
    expect(objects.filter(({ key }) => key.includes(digestOf(bytes).slice(7)))).toHaveLength(1)
  })

  test('whoever leaves the crew can send no more', async () => {
    const { member } = hold.accounts
    await hold.running.context.crew.admit(member.did, { role: 'member', permissions: ['blob:write'] })
    const { body } = await hold.call('io.atcr.hold.initiateUpload', {
      as: member,
      input: { digest: 'uploads/x', direct: true },
    })
    const url = String(body['uploadUrl']).replace('localhost', '127.0.0.1')
    expect((await send('PATCH', url, patterned(10, 14))).status).toBe(202)
    await hold.running.context.crew.admit(member.did, { role: 'member', permissions: ['blob:read'] })
    expect(await errorOf(await send('PATCH', url, patterned(10, 14)))).toEqual([403, 'DENIED'])
    expect(await errorOf(await send('PUT', `${url}?digest=${digestOf(patterned(10, 14))}`))).toEqual([403, 'DENIED']) // prettier-ignore
  })

  test('a blob is served from where it was uploaded until it is where it belongs, and URLs outlive the move', async () => {
    const bytes = patterned(9 * mebibyte, 16)
    const { url, uploadId } = await begin()
    await send('PATCH', url, bytes)
    expect((await send('PUT', `${url}?digest=${digestOf(bytes)}`)).status).toBe(201)
    const { context } = hold.running
    const before = await context.blobs.presignGet(parseDigest(digestOf(bytes)), 'GET')
    await context.jobs.settle.idle()
    expect((await context.blobs.find(parseDigest(digestOf(bytes))))?.key).toBe(
      blobKey(parseDigest(digestOf(bytes))),
    )
    const early = await fetch(String(before).replace('localhost', '127.0.0.1'))
    expect(digestOf(Buffer.from(await early.arrayBuffer()))).toBe(digestOf(bytes))
    hold.advance(1000)
    await context.blobs.deleteStale()
    expect((await context.store.list(`uploads/${uploadId}/`)).objects).toEqual([])
    hold.advance(-1000)
    await expectStored(bytes)
  })

  test('an abandoned upload is forgotten after a day, with its bytes', async () => {
    const { url, uploadId } = await begin()
    await send('PATCH', url, patterned(9 * mebibyte, 15))
    hold.advance(25 * 3600)
    await hold.running.context.uploads.expire()
    expect((await send('GET', url)).status).toBe(404)
    const { objects } = await hold.running.context.store.list(`uploads/${uploadId}/`)
    expect(objects).toEqual([])
    hold.advance(-25 * 3600)
  })
})
