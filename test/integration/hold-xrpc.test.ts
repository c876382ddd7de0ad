import { readdirSync, statSync } from 'node:fs'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Did } from '../../src/atproto/syntax.ts'
import { digestOf, patterned, TestHold, type Driver } from './test-hold.ts'

const byText = (a: unknown[], b: unknown[]) => String(a[0]).localeCompare(String(b[0]))
const lxm = (name: string) => `io.atcr.hold.${name}`

test('a hold that was succeeded begins no upload, says why, and lets those end that go on', async () => {
  await using hold = await TestHold.start()
  const as = hold.accounts.captain
  const begin = () => hold.call(lxm('initiateUpload'), { as, input: { digest: 'uploads/x' } })
  const { uploadId } = (await begin()).body
  const successorDid = 'did:web:next.example'
  await hold.running.context.crew.updateCaptain({ successorDid })
  const { status, body } = await begin()
  expect([status, body['error']]).toEqual([403, 'AccessDenied'])
  expect(body['message']).toContain(successorDid)
  const part = await hold.call(lxm('getPartUploadUrl'), { as, input: { uploadId, partNumber: 1 } })
  expect(part.status).toBe(200)
  await hold.running.context.crew.updateCaptain({ successorDid: undefined })
  expect((await begin()).status).toBe(200)
})

describe.each<Driver>(['filesystem', 's3'])('relay uploads to %s', (driver) => {
  let hold: TestHold
  beforeAll(async () => {
    hold = await TestHold.start({ driver })
  })
  afterAll(() => hold[Symbol.asyncDispose]())

  const as = () => hold.accounts.captain
  const begin = async () => {
    const { body } = await hold.call(lxm('initiateUpload'), { as: as(), input: { digest: 'uploads/x' } })
    return String(body['uploadId'])
  }
  const putPart = async (uploadId: string, partNumber: number, bytes: Uint8Array) => {
    const { status, body } = await hold.call(lxm('getPartUploadUrl'), { as: as(), input: { uploadId, partNumber } }) // prettier-ignore
    expect([status, body['method']]).toEqual([200, 'PUT'])
    const url = String(body['url']).replace('localhost', '127.0.0.1')
    const response = await fetch(url, { method: 'PUT', body: new Uint8Array(bytes) })
    expect(response.status).toBe(200)
    await response.arrayBuffer()
    return { partNumber, etag: response.headers.get('etag') ?? '' }
  }
  const complete = (uploadId: string, digest: string, parts: unknown[]) =>
    hold.call(lxm('completeUpload'), { as: as(), input: { uploadId, digest, parts } })

  test.each([0, 1000, 7_000_000])('%d bytes arrive, verified', async (size) => {
    const bytes = patterned(size, size)
    const uploadId = await begin()
    const cut = Math.min(size, 5 * 1024 * 1024)
    const parts = [
      ...(size > cut ? [await putPart(uploadId, 2, bytes.subarray(cut))] : []),
      ...(size > 0 ? [await putPart(uploadId, 1, bytes.subarray(0, cut))] : []),
    ]
    const digest = digestOf(bytes)
    expect(await hold.download(digest, as())).toBeUndefined()
    const answers = await Promise.all([complete(uploadId, digest, parts), complete(uploadId, digest, parts)])
    for (const { status, body } of [...answers, await complete(uploadId, digest, parts)]) {
      expect([status, body]).toEqual([200, { status: 'completed', digest }])
    }
    expect((await hold.download(digest, as()))?.equals(bytes)).toBe(true)
    await hold.running.context.jobs.settle.idle()
    expect((await hold.download(digest, as()))?.equals(bytes)).toBe(true)
    const { body } = await hold.call(lxm('getUploadStatus'), { as: as(), params: { uploadIds: uploadId } })
    expect(body['uploads']).toEqual([{ uploadId, status: 'completed', digest, size, offset: size }])
  })

  test('other bytes than announced never show', async () => {
    const uploadId = await begin()
    const parts = [await putPart(uploadId, 1, patterned(5000, 1))]
    const digest = digestOf(patterned(5000, 2))
    const { status, body } = await complete(uploadId, digest, parts)
    expect([status, body['error']]).toEqual([400, 'InvalidDigest'])
    expect(await hold.download(digest, as())).toBeUndefined()
    expect((await complete(uploadId, digest, parts)).body['error']).toBe('InvalidUploadId')
  })

  test('each mistake has its name', async () => {
    const uploadId = await begin()
    const part = await putPart(uploadId, 1, patterned(5000, 3))
    const digest = digestOf(patterned(5000, 3))
    const missing = { partNumber: 2, etag: part.etag }
    const [other] = [hold.accounts.member]
    await hold.running.context.crew.admit(other.did, { role: 'member', permissions: ['blob:write'] })
    const attempts: [string, Promise<{ status: number; body: Record<string, unknown> }>][] = [
      ['MissingParts', complete(uploadId, digest, [part, missing])],
      ['MissingParts', complete(uploadId, digest, [part, part])],
      ['InvalidDigest', complete(uploadId, 'sha256:abc', [part])],
      ['InvalidUploadId', complete('never-was', digest, [part])],
      ['InvalidUploadId', hold.call(lxm('getPartUploadUrl'), { as: as(), input: { uploadId: 'never-was', partNumber: 1 } })], // prettier-ignore
      ['InvalidUploadId', hold.call(lxm('getPartUploadUrl'), { as: other, input: { uploadId, partNumber: 1 } })], // prettier-ignore
      ['InvalidUploadId', hold.call(lxm('completeUpload'), { as: other, input: { uploadId, digest, parts: [part] } })], // prettier-ignore
      ['InvalidUploadId', hold.call(lxm('abortUpload'), { as: other, input: { uploadId } })],
      ['InvalidRequest', hold.call(lxm('getPartUploadUrl'), { as: as(), input: { uploadId, partNumber: 0 } })], // prettier-ignore
      ['InvalidDigest', hold.call(lxm('initiateUpload'), { as: as(), input: { digest: 'md5:abc' } })],
      ['InvalidRequest', hold.call(lxm('initiateUpload'), { as: as(), input: { size: 5 } })],
    ]
    for (const [name, attempt] of attempts) {
      const { status, body } = await attempt
      expect([status, body['error']]).toEqual([400, name])
    }
    expect((await complete(uploadId, digest, [part])).status).toBe(200)
  })

  test('an aborted upload takes no more', async () => {
    const uploadId = await begin()
    const { body } = await hold.call(lxm('getPartUploadUrl'), {
      as: as(),
      input: { uploadId, partNumber: 1 },
    })
    expect((await hold.call(lxm('abortUpload'), { as: as(), input: { uploadId } })).body).toEqual({ status: 'aborted' }) // prettier-ignore
    const late = await fetch(String(body['url']).replace('localhost', '127.0.0.1'), { method: 'PUT', body: 'x' }) // prettier-ignore
    expect(late.status).toBe(404)
    await late.arrayBuffer()
    expect((await hold.call(lxm('abortUpload'), { as: as(), input: { uploadId } })).body['error']).toBe('InvalidUploadId') // prettier-ignore
  })
})

describe('who may call', () => {
  let hold: TestHold
  beforeAll(async () => {
    hold = await TestHold.start({ legacyLxm: ['com.atproto.repo.getRecord'] })
  })
  afterAll(() => hold[Symbol.asyncDispose]())
  const input = { digest: 'uploads/x' }
  const initiate = lxm('initiateUpload')
  const params = { did: 'did:plc:x', cid: digestOf(Buffer.from('nothing')) }

  test('a service token works once, and is answered with a session for the same method', async () => {
    const { captain } = hold.accounts
    const token = await captain.token({ aud: hold.running.did, lxm: initiate })
    const first = await hold.call(initiate, { token, input })
    expect(first.status).toBe(200)
    const session = first.headers.get('atcr-hold-session') ?? ''
    expect(session).toMatch(/^hs1\./)
    expect(first.headers.get('atcr-hold-session-expires')).toBe('300')
    const replay = await hold.call(initiate, { token, input })
    expect([replay.status, replay.body['error']]).toEqual([401, 'InvalidToken'])
    const again = await hold.call(initiate, { token: session, input })
    expect(again.status).toBe(200)
    expect(again.headers.get('atcr-hold-session')).toBeNull()
    expect((await hold.call(lxm('abortUpload'), { token: session, input: { uploadId: 'x' } })).status).toBe(
      401,
    )
    expect((await hold.call(initiate, { token: `${session}x`, input })).status).toBe(401)
    expect((await hold.call(initiate, { token: 'hs1.e30', input })).status).toBe(401)
    hold.advance(301)
    expect((await hold.call(initiate, { token: session, input })).status).toBe(401)
    hold.advance(-301)
    await hold.restart()
    expect((await hold.call(initiate, { token, input })).status).toBe(401)
    expect((await hold.call(initiate, { token: session, input })).status).toBe(200)
  })

  test('a session says who calls, not what is allowed', async () => {
    const { member } = hold.accounts
    await hold.running.context.crew.admit(member.did, { role: 'member', permissions: ['blob:write'] })
    const first = await hold.call(initiate, { as: member, input })
    const token = first.headers.get('atcr-hold-session') ?? ''
    await hold.running.context.crew.admit(member.did, { role: 'member', permissions: ['blob:read'] })
    const denied = await hold.call(initiate, { token, input })
    expect([denied.status, denied.body]).toEqual([
      403,
      {
        error: 'AccessDenied',
        message: 'access denied for blob:write: crew member lacks permission (required: blob:write)',
      },
    ])
  })

  test('a failing answer carries the session too', async () => {
    const missing = await hold.call('com.atproto.sync.getBlob', { as: hold.accounts.captain, params })
    expect([missing.status, missing.body['error']]).toEqual([404, 'BlobNotFound'])
    expect(missing.headers.get('atcr-hold-session')).toMatch(/^hs1\./)
  })

  test('audiences in every spelling; methods exactly, or of the older list', async () => {
    const { captain } = hold.accounts
    const { did } = hold.running
    const unencoded = did.replace('%3A', ':')
    for (const aud of [did, `${did}#atcr_hold`, unencoded]) {
      const token = await captain.token({ aud, lxm: initiate })
      expect((await hold.call(initiate, { token, input })).status, aud).toBe(200)
    }
    const legacy = await captain.token({ aud: did, lxm: 'com.atproto.repo.getRecord' })
    expect((await hold.call(initiate, { token: legacy, input })).status).toBe(200)
    for (const [method, body] of [
      ['deleteUserData', {}],
      ['updateCrewTier', { userDid: captain.did, tierRank: 0 }],
    ] as const) {
      // Good for pushes and pulls only.
      const token = await captain.token({ aud: did, lxm: 'com.atproto.repo.getRecord' })
      const refused = await hold.call(lxm(method), { token, input: body })
      expect([refused.status, refused.body['error']]).toEqual([401, 'InvalidToken'])
    }
    for (const claims of [
      { aud: 'did:web:other.example', lxm: initiate },
      { aud: did, lxm: lxm('abortUpload') },
      { aud: did, lxm: initiate, iss: 'did:plc:stranger' },
      { aud: did, lxm: initiate, iss: 'did:plc:nobody' },
      { aud: did, lxm: initiate, exp: 1 },
      { aud: did, lxm: initiate, exp: 9_999_999_999 },
    ]) {
      const token = await captain.token(claims)
      const { status, body } = await hold.call(initiate, { token, input })
      expect([status, body['error']], JSON.stringify(claims)).toEqual([401, 'InvalidToken'])
    }
    for (const token of ['garbage', 'a.b.c', '...', 'e30.e30.e30']) {
      expect((await hold.call(initiate, { token, input })).status).toBe(401)
    }
  })

  test('a private hold tells strangers nothing', async () => {
    const anonymous = await hold.call('com.atproto.sync.getBlob', { params })
    expect([anonymous.status, anonymous.body['error']]).toEqual([401, 'AuthRequired'])
    const stranger = await hold.call('com.atproto.sync.getBlob', { as: hold.accounts.stranger, params })
    expect([stranger.status, stranger.body['message']]).toEqual([
      403,
      'access denied for blob:read: user is not a crew member (required: blob:read or blob:write)',
    ])
    const nobody = await hold.call(initiate, { input })
    expect([nobody.status, nobody.body['error']]).toEqual([401, 'AuthRequired'])
    const crew = await hold.call(lxm('requestCrew'), { as: hold.accounts.stranger, input: {} })
    expect([crew.status, crew.body['error']]).toEqual([403, 'RegistrationDisabled'])
    const captain = await hold.call(lxm('requestCrew'), { as: hold.accounts.captain, input: {} })
    expect(captain.body).toMatchObject({ status: 'already_member' })
  })

  test('keys and secrets are for their owner only', () => {
    for (const name of readdirSync(hold.folder).filter((name) => name.endsWith('.key'))) {
      expect(statSync(`${hold.folder}/${name}`).mode & 0o777, name).toBe(0o600)
    }
  })
})

describe('a public hold that takes everyone', () => {
  let hold: TestHold
  beforeAll(async () => {
    hold = await TestHold.start({ isPublic: true, allowAllCrew: true })
  })
  afterAll(() => hold[Symbol.asyncDispose]())

  const push = async (bytes: Buffer) => {
    const { body } = await hold.call(lxm('initiateUpload'), {
      as: hold.accounts.captain,
      input: { digest: digestOf(bytes), direct: true, size: bytes.length },
    })
    const url = String(body['uploadUrl']).replace('localhost', '127.0.0.1')
    const put = await fetch(`${url}?digest=${digestOf(bytes)}`, {
      method: 'PUT',
      body: new Uint8Array(bytes),
    })
    expect(put.status).toBe(201)
    return digestOf(bytes)
  }

  test('anyone reads, after asking anyone writes', async () => {
    const bytes = patterned(1000, 1)
    const digest = await push(bytes)
    expect((await hold.download(digest))?.equals(bytes)).toBe(true)
    const { stranger } = hold.accounts
    expect((await hold.call(lxm('initiateUpload'), { as: stranger, input: { digest } })).status).toBe(403)
    const joined = await Promise.all(
      [1, 2, 3].map(() =>
        hold.call(lxm('requestCrew'), { as: stranger, input: { permissions: ['crew:admin'] } }),
      ),
    )
    for (const { status, body } of joined) {
      expect(status).toBe(200)
      expect(body['uri']).toBe(joined[0]?.body['uri'])
    }
    expect((await hold.call(lxm('requestCrew'), { as: stranger, input: {} })).body['status']).toBe(
      'already_member',
    )
    expect((await hold.call(lxm('initiateUpload'), { as: stranger, input: { digest } })).status).toBe(200)
    const record = await hold.call('com.atproto.repo.listRecords', {
      params: { repo: hold.running.did, collection: 'io.atcr.hold.crew' },
    })
    const members = record.body['records'] as { value: { member: Did; permissions: string[] } }[]
    expect(members.map(({ value }) => [value.member, value.permissions]).toSorted(byText)).toEqual([
      ['did:plc:captain', ['blob:read', 'blob:write', 'crew:admin']],
      ['did:plc:stranger', ['blob:read', 'blob:write']],
    ])
  })

  test('a push makes layer records in one commit, once', async () => {
    const [config, layer] = [await push(patterned(100, 2)), await push(patterned(200, 3))]
    const { captain } = hold.accounts
    const descriptor = (digest: string) => ({ digest, size: 999, mediaType: 'application/octet-stream' })
    const manifest = {
      schemaVersion: 2,
      config: descriptor(config),
      // Named twice, and one that this hold does not have.
      layers: [descriptor(layer), descriptor(layer), descriptor(digestOf(Buffer.from('elsewhere')))],
    }
    const input = {
      operation: 'push',
      repository: 'team/app',
      userDid: captain.did,
      manifestDigest: digestOf(Buffer.from('manifest')),
      manifest,
    }
    const latest = async () => (await hold.call('com.atproto.sync.getLatestCommit', { params: { did: hold.running.did } })).body['rev'] // prettier-ignore
    const notify = (more: object = {}) => hold.call(lxm('notifyManifest'), { as: captain, input: { ...input, ...more } }) // prettier-ignore
    expect((await notify()).body).toEqual({ success: true, operation: 'push', statsUpdated: true, layersCreated: 2 }) // prettier-ignore
    const rev = await latest()
    expect((await notify()).body).toMatchObject({ layersCreated: 0 })
    expect(await latest()).toBe(rev)
    const { body } = await hold.call('com.atproto.repo.listRecords', {
      params: { repo: hold.running.did, collection: 'io.atcr.hold.layer' },
    })
    const records = (body['records'] as { value: Record<string, unknown> }[]).map(({ value }) => value)
    expect(records).toHaveLength(2)
    expect(records.map(({ digest, size }) => [digest, size]).toSorted(byText)).toEqual(
      [
        [config, 100],
        [layer, 200],
      ].toSorted(byText),
    )
    expect(records[0]).toMatchObject({
      userDid: captain.did,
      manifest: `at://${captain.did}/io.atcr.manifest/${input.manifestDigest.slice(7)}`,
    })

    expect((await notify({ operation: 'pull' })).body).toEqual({ success: true, operation: 'pull', statsUpdated: true }) // prettier-ignore
    const failures: [string, object][] = [
      ['InvalidOperation', { operation: 'look' }],
      ['InvalidDigest', { manifestDigest: 'sha256:x' }],
      ['InvalidRequest', { manifest: { layers: [{ digest: 'x' }] } }],
      ['InvalidRequest', { manifest: { layers: ['x'] } }],
    ]
    for (const [name, more] of failures) expect((await notify(more)).body['error']).toBe(name)
    const mismatch = await notify({ userDid: 'did:plc:member' })
    expect([mismatch.status, mismatch.body['error']]).toEqual([403, 'UserMismatch'])
  })

  test('getBlob answers a URL for the method that is asked for', async () => {
    const bytes = patterned(5000, 4)
    const digest = await push(bytes)
    const { body } = await hold.call('com.atproto.sync.getBlob', { params: { did: 'did:plc:x', cid: digest, method: 'HEAD' } }) // prettier-ignore
    const head = await fetch(String(body['url']).replace('localhost', '127.0.0.1'), { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length'), head.headers.get('docker-content-digest')]).toEqual([200, '5000', digest]) // prettier-ignore
    for (const [query, status] of [
      [{ cid: digest, method: 'DELETE' }, 400],
      [{ did: 'did:plc:x' }, 400],
      [{ cid: 'sha256:abc' }, 400],
      [{ did: hold.running.did, cid: 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy' }, 404],
    ] as [Record<string, string>, number][]) {
      expect((await hold.call('com.atproto.sync.getBlob', { params: query })).status).toBe(status)
    }
  })

  test('a subscriber does not hold up the stop', async () => {
    const socket = new WebSocket(`${hold.url.replace('http', 'ws')}/xrpc/com.atproto.sync.subscribeRepos`)
    await new Promise((resolve) => socket.addEventListener('open', resolve))
    const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve))
    const startedAt = performance.now()
    await hold.restart()
    expect((await closed).code).toBe(1001)
    // The server's own patience with connections is ten seconds.
    expect(performance.now() - startedAt).toBeLessThan(9000)
  })

  test('says who it is', async () => {
    const text = async (path: string) => (await fetch(hold.url + path)).text()
    expect(JSON.parse(await text('/health'))).toEqual({ status: 'ok' })
    expect(JSON.parse(await text('/xrpc/_health'))).toEqual({ status: 'ok' })
    expect(await text('/.well-known/atproto-did')).toBe(hold.running.did)
    const document = JSON.parse(await text('/.well-known/did.json')) as Record<string, unknown>
    expect(document['id']).toBe(hold.running.did)
    const home = await text('/')
    expect(home).toContain(hold.accounts.captain.did)
    expect(home).toContain('open to everyone')
    expect((await fetch(`${hold.url}/nowhere`)).status).toBe(404)
    const unknown = await hold.call('io.atcr.hold.nothing')
    expect([unknown.status, unknown.headers.get('x-content-type-options')]).toEqual([501, 'nosniff'])
    expect(unknown.headers.get('x-request-id')).toMatch(/^[\w-]+$/)
  })
})
