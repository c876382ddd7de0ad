import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { pdsBlobCid } from '../../src/atproto/pds-blob-cid.ts'
import { applyWrites, findRecord } from '../../src/atproto/pds-records.ts'
import { sha256Hex } from '../../src/lib/ids.ts'
import { repoPageCollection } from '../../src/protocol/lexicon/repo-page-record.ts'
import { BrowserTwin, hiddenFields, type PageAnswer } from '../network/browser-twin.ts'
import { imageOfFiles, indexOf } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { signIn } from '../network/web-login.ts'
import { client } from './registry-clients.ts'

/** Goal: what an owner writes about a repository, or deletes, is what the PDS has, and nobody else can. */

const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(300, 7)])
const pngCid = pdsBlobCid(sha256Hex(png))
const path = '/r/alice.test/app'

let network: TestNetwork
let owner: BrowserTwin
let other: BrowserTwin

beforeAll(async () => {
  network = await TestNetwork.create()
  const { alice, bob } = network.accounts
  owner = new BrowserTwin(network.appview.url)
  other = new BrowserTwin(network.appview.url)
  await signIn(owner, alice)
  await signIn(other, bob)
  await client(network, 'alice').pushImage('alice.test/app', imageOfFiles({ hello: 'pages' }), 'latest')
})
afterAll(() => network?.[Symbol.asyncDispose]())
afterEach(() => network.faults.clear())

const alice = () => network.accounts.alice.did
const record = async (repository = 'app') => {
  const target = { serviceUrl: network.pds.url, fetch: globalThis.fetch }
  return (await findRecord(target, alice(), repoPageCollection, repository))?.value as
    | Record<string, unknown>
    | undefined
}

/** Sends the form of the edit page as a browser does, with files. */
async function send(
  fields: Record<string, string>,
  options: { picture?: Uint8Array; from?: BrowserTwin; form?: Record<string, string> } = {},
): Promise<PageAnswer> {
  const { from = owner, picture } = options
  const form = options.form ?? hiddenFields((await from.get(`${path}/-/edit`)).body)
  const data = new FormData()
  for (const [name, value] of Object.entries({ ...form, ...fields })) data.append(name, value)
  data.append('picture', new File(picture === undefined ? [] : [new Uint8Array(picture)], 'x.svg'))
  const request = new Response(data)
  return from.ask('/pages/put', {
    method: 'POST',
    headers: {
      'content-type': request.headers.get('content-type') ?? '',
      origin: new URL(network.appview.url).origin,
    },
    body: await request.bytes(),
  })
}

/** A page record as another program writes it. */
async function writeElsewhere(value: Record<string, unknown>): Promise<void> {
  const session = await network.appview.context.pdsSessions.session(alice())
  const action = (await record()) === undefined ? 'create' : 'update'
  await applyWrites(session, [{ action, collection: repoPageCollection, rkey: 'app', value }])
  await network.settled()
}

const elsewhere = {
  $type: repoPageCollection,
  repository: 'app',
  createdAt: '2025-01-01T00:00:00Z',
  updatedAt: '2025-01-01T00:00:00Z',
}

describe('the description', () => {
  test('is shown as it will look before it is written, and then written to the owner’s PDS', async () => {
    const description = '# Hello\r\n\r\n*good* day\r\n'
    const preview = await send({ description, action: 'preview' })
    expect(preview.status).toBe(200)
    expect(preview.body).toContain('<em>good</em> day')
    expect(preview.body).toContain('# Hello')
    expect(await record()).toBeUndefined()
    // What the preview's form holds is what is saved.
    const saved = await send({ description, action: 'save' }, { form: hiddenFields(preview.body) })
    expect([saved.status, saved.location]).toEqual([303, path])
    expect(await record()).toMatchObject({ repository: 'app', description: '# Hello\n\n*good* day' })
    // At once, whatever the event stream does.
    expect((await owner.get(path)).body).toContain('<h3 id="readme-hello">Hello</h3>')
    await network.settled()
  })

  test('of another program is shown, and what it put into the record stays', async () => {
    await writeElsewhere({ ...elsewhere, description: 'from *elsewhere*', pinned: ['v1'] })
    expect((await other.get(path)).body).toContain('from <em>elsewhere</em>')
    expect((await send({ description: 'mine' })).status).toBe(303)
    expect(await record()).toMatchObject({
      pinned: ['v1'],
      createdAt: '2025-01-01T00:00:00Z',
      description: 'mine',
    })
    expect((await send({ description: '' })).status).toBe(303)
    expect(await record()).not.toHaveProperty('description')
  })

  test('that somebody changed meanwhile is not overwritten, and nobody’s text is lost', async () => {
    const form = hiddenFields((await owner.get(`${path}/-/edit`)).body)
    await writeElsewhere({ ...elsewhere, description: 'theirs' })
    const refused = await send({ description: 'mine & more' }, { form })
    expect(refused.status).toBe(409)
    expect(refused.body).toContain('theirs')
    expect(refused.body).toContain('mine &amp; more')
    expect(await record()).toMatchObject({ description: 'theirs' })
    // Whoever has seen it may go on.
    expect((await send({ description: 'both' }, { form: hiddenFields(refused.body) })).status).toBe(303)
    expect(await record()).toMatchObject({ description: 'both' })
    // The index may be behind: what counts is what the PDS has.
    network.jetstream.pause()
    const stale = hiddenFields((await owner.get(`${path}/-/edit`)).body)
    const session = await network.appview.context.pdsSessions.session(alice())
    const value = { ...elsewhere, description: 'newer' }
    await applyWrites(session, [{ action: 'update', collection: repoPageCollection, rkey: 'app', value }])
    expect((await send({ description: 'mine' }, { form: stale })).status).toBe(409)
    network.jetstream.resume()
    await network.settled()
  })

  test.each([
    ['the PDS does not answer', { kind: 'drop', to: 'pds' }, 503],
    ['the PDS fails', { kind: 'error', to: 'pds', path: '/xrpc/com.atproto.repo.applyWrites' }, 503],
  ] as const)('is given back while %s', async (_, fault, status) => {
    const form = hiddenFields((await owner.get(`${path}/-/edit`)).body)
    const before = await record()
    {
      using _fault = network.faults.add(fault)
      const answer = await send({ description: 'not to be lost' }, { form })
      expect(answer.status).toBe(status)
      expect(answer.body).toContain('not to be lost')
      expect(answer.body).toContain('Nothing was saved')
    }
    expect(await record()).toEqual(before)
  })

  test('that is too long, or comes from elsewhere, is not taken', async () => {
    const before = await record()
    const long = await send({ description: 'ä'.repeat(50_001) })
    expect(long.status).toBe(422)
    expect(long.body).toContain('too long')
    expect((await send({ description: 'x' }, { form: { repository: 'app' } })).status).toBe(403)
    expect((await send({ description: 'x', repository: 'nothing' })).status).toBe(422)
    expect(await record()).toEqual(before)
  })
})

describe('the picture', () => {
  test('is stored in the PDS, handed out by us, and removed again', async () => {
    expect((await send({ description: 'with a picture' }, { picture: png })).status).toBe(303)
    expect(await record()).toMatchObject({ avatar: { mimeType: 'image/png', size: png.byteLength } })
    const { body } = await other.get(path)
    expect(body).toContain(`src="/avatar/${alice()}/${pngCid}"`)
    const picture = await fetch(`${network.appview.url}/avatar/${alice()}/${pngCid}`)
    expect(Buffer.from(await picture.arrayBuffer())).toEqual(png)
    expect(picture.headers.get('content-type')).toBe('image/png')
    expect(picture.headers.get('x-content-type-options')).toBe('nosniff')
    expect(picture.headers.get('content-security-policy')).toBe("default-src 'none'; sandbox")
    expect(picture.headers.get('cache-control')).toContain('immutable')
    // A change of the text leaves it.
    expect((await send({ description: 'another text' })).status).toBe(303)
    expect((await other.get(path)).body).toContain(pngCid)
    expect((await send({ description: 'another text', remove: '1' })).status).toBe(303)
    expect((await other.get(path)).body).not.toContain(pngCid)
    expect((await fetch(`${network.appview.url}/avatar/${alice()}/${pngCid}`)).status).toBe(404)
  })

  test.each([
    ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['a GIF', Buffer.from('GIF89a…')],
    ['more than 3 MB', Buffer.concat([png, Buffer.alloc(3_000_000)])],
  ])('that is %s is refused, and the text is kept', async (_, picture) => {
    const before = await record()
    const answer = await send({ description: 'kept' }, { picture })
    expect(answer.status).toBe(422)
    expect(answer.body).toContain('Choose another one')
    expect(answer.body).toContain('kept')
    expect(await record()).toEqual(before)
  })
})

describe('who is not the owner', () => {
  test('is shown no way to change anything, and has none', async () => {
    const { body } = await other.get(path)
    expect(body).not.toContain('/-/edit')
    expect(body).not.toContain('/-/delete')
    for (const page of ['edit', 'delete?tag=latest']) {
      expect((await other.get(`${path}/-/${page}`)).status).toBe(403)
      const anyone = await new BrowserTwin(network.appview.url).get(`${path}/-/${page}`)
      expect([anyone.status, anyone.location.startsWith('/auth/oauth/login')]).toEqual([303, true])
    }
    const form = hiddenFields((await other.get('/settings')).body)
    const before = await record()
    // The form names a repository; whose it is follows from who sends it.
    expect((await send({ description: 'x', repository: 'app' }, { from: other, form })).status).toBe(422)
    const fields = { ...form, repository: 'app', tag: 'latest' }
    expect((await other.post('/references/delete', fields)).status).toBe(422)
    expect(await record()).toEqual(before)
    expect((await fetch(`${network.appview.url}${path}/tags/latest`)).status).toBe(200)
  })
})

describe('deleting', () => {
  const shared = { name: 'shared', text: 'needed by both' }
  let image: ReturnType<typeof imageOfFiles>
  let index: ReturnType<typeof indexOf>

  beforeEach(async () => {
    const registry = client(network, 'alice')
    image = imageOfFiles({ hello: 'own', [shared.name]: shared.text })
    index = indexOf([{ manifest: image, platform: 'linux/amd64' }])
    await registry.pushImage('alice.test/many', image, 'v1')
    await registry.pushManifest('alice.test/many', 'v2', image)
    await registry.pushManifest('alice.test/many', 'latest', index)
    await network.settled()
  })

  const status = async (reference: string) =>
    (await client(network).request('HEAD', `/v2/alice.test/many/manifests/${reference}`)).status
  const confirm = async (query: string) => {
    const page = await owner.get(`/r/alice.test/many/-/delete?${query}`)
    return { page, form: hiddenFields(page.body) }
  }

  test('tags, several at once, leaves their manifests', async () => {
    const { form, page } = await confirm('tag=v1&tag=v2&tag=gone')
    expect(page.body).toContain('Delete 2 tags?')
    expect(page.body).toContain('1 manifest will be left without a tag')
    const body = new URLSearchParams([...Object.entries(form), ['tag', 'v1']]).toString()
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      origin: new URL(network.appview.url).origin,
    }
    const answer = await owner.ask('/references/delete', { method: 'POST', body, headers })
    expect([answer.status, answer.location]).toEqual([303, '/r/alice.test/many#tags'])
    expect(await Promise.all(['v1', 'v2', 'latest', image.digest].map(status))).toEqual([404, 404, 200, 200])
    // Again does no harm.
    expect((await owner.ask('/references/delete', { method: 'POST', body, headers })).status).toBe(303)
  })

  test('a manifest takes its tags along, and the page says so before', async () => {
    const { form, page } = await confirm(`digest=${image.digest}`)
    expect(page.body).toContain('2 tags')
    expect(page.body).toMatch(/An index goes\s+on listing it/)
    expect(page.body).toContain('of layers are needed by nothing else')
    expect((await owner.post('/references/delete', form)).status).toBe(303)
    expect(await Promise.all(['v1', 'v2', image.digest, 'latest'].map(status))).toEqual([404, 404, 404, 200])
  })

  test('the last of a repository leads to the owner', async () => {
    for (const digest of [image.digest, index.digest]) {
      const { form } = await confirm(`digest=${digest}`)
      const answer = await owner.post('/references/delete', form)
      expect(answer.location).toBe(digest === image.digest ? '/r/alice.test/many#tags' : '/u/alice.test')
    }
    expect((await owner.get('/r/alice.test/many')).status).toBe(404)
  })

  test('what is not there leads back', async () => {
    for (const query of ['', 'tag=nothing', `digest=sha256:${'0'.repeat(64)}`, 'digest=x', 'tag=%00'])
      expect((await confirm(query)).page.location).toBe('/r/alice.test/many#tags')
  })
})

test('pulls are shown by day', async () => {
  const registry = client(network)
  for (let count = 0; count < 3; count++) await registry.pullManifest('alice.test/app', 'latest')
  await registry.request('HEAD', '/v2/alice.test/app/manifests/latest')
  await network.appview.context.pullDays.flush()
  expect((await other.get(path)).body).toContain('<span>3 pulls</span>')
})
