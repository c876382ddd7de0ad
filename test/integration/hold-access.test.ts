import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { CrewPermission } from '../../src/protocol/lexicon/crew-record.ts'
import { digestOf, patterned, TestHold, type TestAccount } from './test-hold.ts'

const lxm = (name: string) => `io.atcr.hold.${name}`

type Who = 'anonymous' | 'captain' | 'blob:read' | 'blob:write' | 'crew:admin' | 'stranger'
/** What is asked for at a route, and how it answers those who may. */
interface Route {
  needs: CrewPermission
  call: (as: TestAccount | undefined) => Promise<{ status: number; message: string }>
  /** Beside the refusals below; what the caller sent is never quite right, so that nothing changes. */
  allowed: number[]
}

const known = patterned(1000, 1)
const unknown = digestOf(patterned(1000, 2))
const allowedReaders: readonly Who[] = ['captain', 'blob:read', 'blob:write', 'crew:admin']
const allowedWriters: readonly Who[] = ['captain', 'blob:write', 'crew:admin']
const allowedAdmins: readonly Who[] = ['captain', 'crew:admin']
const requiredWords: Record<CrewPermission, string> = {
  'blob:read': 'blob:read or blob:write',
  'blob:write': 'blob:write',
  'crew:admin': 'crew:admin',
}

describe.each([true, false])('a hold that is public: %s', (isPublic) => {
  let hold: TestHold
  beforeAll(async () => {
    hold = await TestHold.start({ isPublic })
    const url = await uploadUrl()
    expect((await fetch(url, { method: 'PUT', body: new Uint8Array(known) })).status).toBe(201)
  })
  afterAll(() => hold[Symbol.asyncDispose]())

  async function uploadUrl(): Promise<string> {
    const { body } = await hold.call(lxm('initiateUpload'), {
      as: hold.accounts.captain,
      input: { digest: digestOf(known), direct: true },
    })
    return `${String(body['uploadUrl']).replace('localhost', '127.0.0.1')}?digest=${digestOf(known)}`
  }

  /** The member has the permissions of the row; the captain is always there. */
  async function actor(who: Who): Promise<TestAccount | undefined> {
    const { crew } = hold.running.context
    const { captain, member, stranger } = hold.accounts
    if (who === 'anonymous') return undefined
    if (who === 'captain') return captain
    if (who === 'stranger') return stranger
    await crew.admit(member.did, { role: 'member', permissions: [who] })
    return member
  }

  const xrpc =
    (nsid: string, request: { input?: unknown; params?: Record<string, string> }) =>
    async (as: TestAccount | undefined) => {
      const { status, body } = await hold.call(nsid, { ...(as && { as }), ...request })
      return { status, message: typeof body['message'] === 'string' ? body['message'] : '' }
    }
  const manifest = { layers: [{ digest: digestOf(known), mediaType: 'x/y' }] }
  const notice = (operation: string) => async (as: TestAccount | undefined) =>
    xrpc(lxm('notifyManifest'), {
      input: {
        operation,
        repository: 'app',
        userDid: as?.did ?? 'did:plc:x',
        manifestDigest: unknown,
        manifest,
      },
    })(as)
  const blob = (cid: string, method: string) =>
    xrpc('com.atproto.sync.getBlob', { params: { did: 'did:plc:x', cid, method } })
  const write = (nsid: string, input: Record<string, unknown>) => async (as: TestAccount | undefined) =>
    xrpc(`com.atproto.repo.${nsid}`, { input: { repo: hold.running.did, ...input } })(as)
  const note = { $type: 'app.example.note', text: 'ahoy' }

  const routes: Record<string, Route> = {
    'getBlob, GET': { needs: 'blob:read', call: blob(digestOf(known), 'GET'), allowed: [200] },
    'getBlob, HEAD': { needs: 'blob:read', call: blob(digestOf(known), 'HEAD'), allowed: [200] },
    'getBlob of what is not there': { needs: 'blob:read', call: blob(unknown, 'GET'), allowed: [404] },
    'notifyManifest of a pull': { needs: 'blob:read', call: notice('pull'), allowed: [200] },
    'notifyManifest of a push': { needs: 'blob:write', call: notice('push'), allowed: [200] },
    initiateUpload: { needs: 'blob:write', call: xrpc(lxm('initiateUpload'), { input: { digest: 'uploads/x' } }), allowed: [200] }, // prettier-ignore
    getPartUploadUrl: { needs: 'blob:write', call: xrpc(lxm('getPartUploadUrl'), { input: { uploadId: 'none', partNumber: 1 } }), allowed: [400] }, // prettier-ignore
    completeUpload: { needs: 'blob:write', call: xrpc(lxm('completeUpload'), { input: { uploadId: 'none', digest: unknown, parts: [] } }), allowed: [400] }, // prettier-ignore
    abortUpload: { needs: 'blob:write', call: xrpc(lxm('abortUpload'), { input: { uploadId: 'none' } }), allowed: [400] }, // prettier-ignore
    createRecord: { needs: 'crew:admin', call: write('createRecord', { collection: 'app.example.note', record: note }), allowed: [200] }, // prettier-ignore
    putRecord: { needs: 'crew:admin', call: write('putRecord', { collection: 'app.example.note', rkey: 'one', record: note }), allowed: [200] }, // prettier-ignore
    deleteRecord: { needs: 'crew:admin', call: write('deleteRecord', { collection: 'app.example.note', rkey: 'none' }), allowed: [200] }, // prettier-ignore
    applyWrites: { needs: 'crew:admin', call: write('applyWrites', { writes: [] }), allowed: [200] },
  }

  describe.each<Who>(['anonymous', 'captain', 'blob:read', 'blob:write', 'crew:admin', 'stranger'])(
    '%s',
    (who) => {
      // prettier-ignore
      test.each(Object.entries(routes))('%s', async (_, { needs, call, allowed }) => {
      const lists = { 'blob:read': allowedReaders, 'blob:write': allowedWriters, 'crew:admin': allowedAdmins }
      const isAllowed = lists[needs].includes(who) || (needs === 'blob:read' && isPublic)
      const { status, message } = await call(await actor(who))
      if (isAllowed) {
        expect(allowed, message).toContain(status)
        return
      }
      expect(status, message).toBe(who === 'anonymous' ? 401 : 403)
      const reasons: Partial<Record<Who, string>> = {
        anonymous: 'authentication required',
        stranger: 'user is not a crew member',
      }
      const isUnasked = who === 'anonymous' && message === 'this method needs a service token'
      const reason = reasons[who] ?? 'crew member lacks permission'
      const wanted = `access denied for ${needs}: ${reason} (required: ${requiredWords[needs]})`
      expect(isUnasked ? wanted : message).toBe(wanted)
    })

      test('getUploadStatus tells of uploads of their own only', async () => {
        const as = await actor(who)
        const params = { uploadIds: 'none' }
        const { status, body } = await hold.call(lxm('getUploadStatus'), { ...(as && { as }), params })
        if (who === 'anonymous') expect(status).toBe(401)
        else expect([status, body['uploads']]).toEqual([200, [{ uploadId: 'none', status: 'unknown' }]])
      })

      test('requestCrew', async () => {
        const as = await actor(who)
        const { status, body } = await hold.call(lxm('requestCrew'), { ...(as && { as }), input: {} })
        if (who === 'anonymous') expect([status, body['error']]).toEqual([401, 'AuthRequired'])
        else if (who === 'stranger') expect([status, body['error']]).toEqual([403, 'RegistrationDisabled'])
        else expect([status, body['status']]).toEqual([200, 'already_member'])
      })
    },
  )

  test('who may not read is told the same of what is there and of what is not', async () => {
    if (isPublic) return expect((await blob(unknown, 'GET')(undefined)).status).toBe(404)
    const digests = [digestOf(known), unknown]
    for (const as of [undefined, hold.accounts.stranger]) {
      for (const method of ['GET', 'HEAD']) {
        const answers = await Promise.all(digests.map((digest) => blob(digest, method)(as)))
        expect(answers[0]).toEqual(answers[1])
      }
      const head = await Promise.all(
        digests.map(async (digest) => {
          const url = `${hold.url}/xrpc/com.atproto.sync.getBlob?did=did:plc:x&cid=${digest}`
          const response = await fetch(url, { method: 'HEAD' })
          return [response.status, response.headers.get('content-length'), response.headers.get('location')]
        }),
      )
      expect(head[0]).toEqual(head[1])
    }
  })

  test('URLs without the signature, with one for another method, or too old give nothing away', async () => {
    const { body } = await hold.call('com.atproto.sync.getBlob', {
      as: hold.accounts.captain,
      params: { did: 'did:plc:x', cid: digestOf(known), method: 'HEAD' },
    })
    const signed = new URL(String(body['url']).replace('localhost', '127.0.0.1'))
    expect((await fetch(signed, { method: 'HEAD' })).status).toBe(200)
    const ask = async (url: string | URL, method = 'GET') => (await fetch(url, { method })).status
    expect(await ask(signed)).toBe(403)
    const bare = (digest: string) => `${signed.origin}/blobs/${digest}`
    expect([await ask(bare(digestOf(known))), await ask(bare(unknown))]).toEqual([403, 403])
    const other = `${bare(unknown)}${signed.search}`
    expect(await ask(other, 'HEAD')).toBe(403)
    expect(await ask(`${signed.origin}/blobs/uploads/none/1${signed.search}`, 'PUT')).toBe(403)
  })
})

describe('who leaves the crew, or may no longer write, stops at once', () => {
  let hold: TestHold
  beforeAll(async () => {
    hold = await TestHold.start()
  })
  afterAll(() => hold[Symbol.asyncDispose]())

  const as = () => hold.accounts.member
  const join = () =>
    hold.running.context.crew.admit(as().did, { role: 'member', permissions: ['blob:write'] })
  const initiate = async (direct: boolean) => {
    const { body } = await hold.call(lxm('initiateUpload'), {
      as: as(),
      input: { digest: 'uploads/x', direct },
    })
    const url = String(body['uploadUrl']).replace('localhost', '127.0.0.1')
    return { uploadId: String(body['uploadId']), url }
  }
  const part = async (uploadId: string) => {
    const { body } = await hold.call(lxm('getPartUploadUrl'), {
      as: as(),
      input: { uploadId, partNumber: 1 },
    })
    return String(body['url']).replace('localhost', '127.0.0.1')
  }
  const put = (url: string, method: 'PUT' | 'PATCH' = 'PUT') =>
    fetch(url, { method, body: new Uint8Array(known) })

  const departures: Record<string, () => Promise<unknown>> = {
    removed: () => hold.running.context.crew.remove(as().did),
    'may only read': () =>
      hold.running.context.crew.admit(as().did, { role: 'member', permissions: ['blob:read'] }),
    'removed by an ordinary write': async () => {
      const { crew } = hold.running.context
      const { members } = await crew.list({ limit: 10 })
      const rkey = members.find(({ memberDid }) => memberDid === as().did)?.rkey
      const input = { repo: hold.running.did, collection: 'io.atcr.hold.crew', rkey }
      const { status } = await hold.call('com.atproto.repo.deleteRecord', {
        as: hold.accounts.captain,
        input,
      })
      expect(status).toBe(200)
    },
  }

  test.each(Object.entries(departures))('%s', async (_, leave) => {
    await join()
    const direct = await initiate(true)
    expect((await put(direct.url, 'PATCH')).status).toBe(202)
    const relay = await initiate(false)
    const [used, unused] = [await part(relay.uploadId), await part(relay.uploadId)]
    const etag = (await put(used)).headers.get('etag')
    const { headers } = await hold.call(lxm('initiateUpload'), { as: as(), input: { digest: 'uploads/x' } })
    const session = String(headers.get('atcr-hold-session'))
    await leave()
    const query = `?digest=${digestOf(known)}`
    for (const [method, url] of [
      ['PATCH', direct.url],
      ['PUT', direct.url + query],
      ['GET', direct.url],
      ['DELETE', direct.url],
      ['PUT', unused],
    ] as const) {
      // prettier-ignore
      const response = await fetch(url, { method, ...(method === 'PATCH' || method === 'PUT' ? { body: new Uint8Array(known) } : {}) }) // prettier-ignore
      const body = (await response.json()) as { errors: { code: string; message: string }[] }
      expect([method, response.status, body.errors[0]?.code]).toEqual([method, 403, 'DENIED'])
      expect(body.errors[0]?.message).toMatch(/^access denied for blob:write: .* \(required: blob:write\)$/)
    }
    const { uploadId } = relay
    const inputs: Record<string, unknown> = {
      initiateUpload: { digest: 'uploads/x' },
      getPartUploadUrl: { uploadId, partNumber: 2 },
      completeUpload: { uploadId, digest: digestOf(known), parts: [{ partNumber: 1, etag }] },
      abortUpload: { uploadId },
    }
    for (const [name, input] of Object.entries(inputs)) {
      expect([name, (await hold.call(lxm(name), { as: as(), input })).status]).toEqual([name, 403])
    }
    const again = await hold.call(lxm('initiateUpload'), { token: session, input: { digest: 'uploads/x' } })
    expect(again.status).toBe(403)
    expect(await hold.download(digestOf(known), hold.accounts.captain)).toBeUndefined()
    // Who comes back goes on.
    await join()
    expect((await put(unused)).status).toBe(200)
  })

  test('in the middle of a request as well', async () => {
    await join()
    const { url } = await initiate(true)
    let sentBytes = 0
    async function* body() {
      for (let seed = 1; seed <= 200; seed += 1) {
        if (seed === 40) await hold.running.context.crew.remove(as().did)
        sentBytes += 300_000
        yield patterned(300_000, seed)
      }
    }
    const request = fetch(url, { method: 'PATCH', body: ReadableStream.from(body()), duplex: 'half' })
    // A client that goes on sending may find the connection closed before it reads the answer.
    expect([403, 'cut off']).toContain(await request.then(({ status }) => status, () => 'cut off')) // prettier-ignore
    expect(sentBytes).toBeLessThan(60_000_000)
    await join()
    const status = await fetch(url)
    expect([status.status, status.headers.get('range')]).toEqual([204, '0-0'])
  })
})
