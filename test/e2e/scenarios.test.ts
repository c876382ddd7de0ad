import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'

import { createAccount, type Account } from '../network/accounts.ts'
import { AllInOne } from '../network/all-in-one.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { Infrastructure } from '../network/infrastructure.ts'
import { signInAtPds } from '../network/oauth-sign-in.ts'
import { OciClient } from '../network/oci-client.ts'
import { blobOf, imageOfFiles, manifestOf, manifestMediaType } from '../network/sample-image.ts'
import { signIn } from '../network/web-login.ts'
import type { Client, ClientSource } from './clients/client.ts'
import { podman } from './clients/libpod.ts'
import { skopeo } from './clients/skopeo.ts'
import { run } from './command.ts'
import { OciLayout } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: the settings that docs/operating/scenarios.md gives do what it says. Method: they are read from that page and run as
 * `atcr serve`; host, accounts and network are those of a test network, everything else is as it stands there.
 */
const page = readFileSync('docs/operating/scenarios.md', 'utf8')

function settingsUnder(title: string): Record<string, unknown> {
  const section = page.split(/^## /m).find((it) => it.startsWith(title)) ?? ''
  const [, yaml] = /^```yaml\n(.*?)^```/ms.exec(section) ?? []
  if (yaml === undefined) throw new Error(`the page has no settings under ${title}`)
  return parse(yaml) as Record<string, unknown>
}

/** What a test network cannot have as it is on the page. */
type Replaced = 'address' | 'addr' | 'owner' | 'trusted_proxies' | 'test_mode'

class Scenario implements AsyncDisposable {
  readonly folder: string
  readonly infrastructure: Infrastructure
  readonly atcr: AllInOne
  readonly carol: Account
  readonly #stack: AsyncDisposableStack

  static async start(title: string, keep: readonly Replaced[] = []): Promise<Scenario> {
    const folder = await makeTemporaryFolder('scene')
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(folder, { recursive: true, force: true }))
    const infrastructure = stack.use(
      await Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined }), // prettier-ignore
    )
    const written = settingsUnder(title)
    const { alice } = infrastructure.accounts
    const owner = String(written['owner']).startsWith('did:') ? alice.did : alice.handle
    const replaced = new Set<string>(['address', 'addr', 'owner', 'trusted_proxies', 'test_mode'])
    const settings = Object.fromEntries(
      Object.entries(written).filter(([name]) => !replaced.has(name) || keep.includes(name as Replaced)),
    )
    const atcr = stack.use(
      await AllInOne.configure({ folder, settings: { ...settings, owner }, infrastructure }),
    )
    await atcr.serve()
    const carol = await createAccount(infrastructure.pds.url, 'carol.test')
    return new Scenario({ folder, infrastructure, atcr, carol }, stack.move())
  }

  private constructor(
    parts: Pick<Scenario, 'folder' | 'infrastructure' | 'atcr' | 'carol'>,
    stack: AsyncDisposableStack,
  ) {
    this.folder = parts.folder
    this.infrastructure = parts.infrastructure
    this.atcr = parts.atcr
    this.carol = parts.carol
    this.#stack = stack
  }

  get registry(): string {
    return new URL(this.atcr.url).host
  }

  get holdDid(): string {
    return `did:web:localhost%3A${this.infrastructure.ports.appview}`
  }

  /** A real client, signed in or not. */
  async client(source: ClientSource, account?: Account): Promise<Client> {
    const folder = await mkdtemp(join(this.folder, 'c-'))
    const client = await source.start({ registry: this.registry, folder })
    if (account !== undefined) await client.login({ username: account.handle, password: account.appPassword })
    return client
  }

  /** The plain client of the tests, which shows each answer. */
  oci(account?: Account): OciClient {
    const credentials =
      account === undefined ? {} : { username: account.handle, password: account.appPassword }
    return new OciClient({ registryUrl: this.atcr.url, ...credentials })
  }

  async image(name: string, layerBytes: readonly number[] = [20_000]) {
    const layout = await OciLayout.create(join(this.folder, name))
    return { layoutPath: layout.path, tag: 'v1', descriptor: await layout.addImage('v1', layerBytes) }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

describe('a public registry', () => {
  let scene: Scenario
  beforeAll(async () => {
    scene = await Scenario.start('Public registry')
  })
  afterAll(() => scene?.[Symbol.asyncDispose]())

  test('a stranger signs in and pushes, and anybody pulls without an account', async () => {
    const image = await scene.image('open', [3000, 2 * 2 ** 20])
    await using carols = await scene.client(skopeo, scene.carol)
    await carols.push(image, 'carol.test/open:v1')
    for (const source of [skopeo, podman]) {
      await using anyone = await scene.client(source)
      expect((await anyone.pull('carol.test/open:v1')).digest, source.name).toBe(image.descriptor.digest)
    }
  })

  test('the push is on the pages, in the feed, in search and among live pushes for everyone', async () => {
    const browser = new BrowserTwin(scene.atcr.url)
    await expect.poll(async () => (await browser.get('/search?q=open')).body, { timeout: 15_000 }).toContain('/r/carol.test/open') // prettier-ignore
    for (const path of ['/', '/u/carol.test', '/r/carol.test/open', '/u/carol.test/feed.json'])
      expect((await browser.get(path)).body, path).toContain('carol.test/open')
    expect(await heardLive(scene)).toContain('carol.test/open')
  })

  test('who pushed is crew with the tier of guests, and cannot administer', async () => {
    const { searchParams } = withQuery({ repo: scene.holdDid, collection: 'io.atcr.hold.crew', limit: '100' })
    const answer = await fetch(`${scene.atcr.url}/xrpc/com.atproto.repo.listRecords?${searchParams.toString()}`) // prettier-ignore
    const { records } = (await answer.json()) as { records: { value: { member: string; permissions: string[] } }[] } // prettier-ignore
    const carol = records.find(({ value }) => value.member === scene.carol.did)
    expect(carol?.value.permissions).not.toContain('crew:admin')
    const quota = await fetch(`${scene.atcr.url}/xrpc/io.atcr.hold.getQuota?userDid=${scene.carol.did}`)
    expect(await quota.json()).toMatchObject({ limit: 5e9 })
  })
})

describe('a private organisation', () => {
  /** A word that stands nowhere else. */
  const name = 'blackpearl'
  const repository = `bob.test/${name}`
  const image = imageOfFiles({ map: 'x marks the spot' })
  const layer = image.blobs[0] as (typeof image.blobs)[number]
  const attached = blobOf('a note about it')
  const note = manifestOf({
    schemaVersion: 2,
    mediaType: manifestMediaType,
    artifactType: 'application/vnd.example.note',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: layer.digest, size: layer.sizeBytes },
    layers: [{ mediaType: 'text/plain', digest: attached.digest, size: attached.sizeBytes }],
    subject: { mediaType: image.mediaType, digest: image.digest, size: image.bytes.byteLength },
  })

  let scene: Scenario
  let bob: Account
  beforeAll(async () => {
    scene = await Scenario.start('Private organisation')
    bob = scene.infrastructure.accounts.bob
  })
  afterAll(() => scene?.[Symbol.asyncDispose]())

  test('nobody pushes who was not invited', async () => {
    for (const account of [scene.carol, bob]) {
      await using client = await scene.client(skopeo, account)
      const local = await scene.image(`from-${account.handle}`)
      await expect(client.push(local, `${account.handle}/thing:v1`)).rejects.toThrow(/denied|forbidden|crew/i)
    }
  })

  test('the captain invites bob in the panel, who pushes and pulls; so does the captain', async () => {
    const { alice } = scene.infrastructure.accounts
    const panel = new BrowserTwin(scene.atcr.url)
    const { location } = await panel.submit('/admin/login', '/admin/login', { actor: alice.handle })
    const back = await signInAtPds(new URL(location), alice)
    await panel.get(back.pathname + back.search)
    const form = await panel.submit('/admin/crew/add?actor=bob.test', '/admin/crew', {
      did: bob.did,
      role: 'member',
      permission: 'blob:write',
    })
    expect([form.status, form.location]).toEqual([303, '/admin/crew?done=added'])
    const local = await scene.image('of-bob', [3000, 2 * 2 ** 20])
    await using pushing = await scene.client(skopeo, bob)
    // What he was refused a moment ago is not held against him.
    await expect
      .poll(() => pushing.push(local, `${repository}-real:v1`).then(() => 'pushed', String), {
        timeout: 90_000,
        interval: 2000,
      }) // prettier-ignore
      .toBe('pushed')
    for (const [source, account] of [
      [podman, bob],
      [skopeo, alice],
    ] as const) {
      await using pulling = await scene.client(source, account)
      expect((await pulling.pull(`${repository}-real:v1`)).digest).toBe(local.descriptor.digest)
    }
    const client = scene.oci(bob)
    await client.pushImage(repository, image, 'v1')
    await client.pushBlob(repository, attached)
    await client.pushManifest(repository, note.digest, note)
    expect((await client.pullManifest(repository, 'v1')).digest).toBe(image.digest)
  })

  test('its crew find it on the pages', async () => {
    const browser = new BrowserTwin(scene.atcr.url)
    await signIn(browser, bob)
    expect((await browser.get(`/r/${repository}`)).status).toBe(200)
    expect((await browser.get('/u/bob.test')).body).toContain(`/r/${repository}`)
  })

  describe.each(['nobody in particular', 'carol, signed in'])('%s', (who) => {
    const account = () => (who.startsWith('carol') ? scene.carol : undefined)
    /** One place of the registry, and what it may answer. */
    const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
      scene.oci(account()).request(method, `/v2/${repository}/${path}`, { headers })

    test.each([
      ['GET', `blobs/${layer.digest}`],
      ['HEAD', `blobs/${layer.digest}`],
      ['GET', `blobs/${image.blobs.at(-1)?.digest}`],
      ['GET', `blobs/${attached.digest}`],
      ['GET', 'manifests/v1'],
      ['HEAD', 'manifests/v1'],
      ['GET', `manifests/${image.digest}`],
      ['HEAD', `manifests/${image.digest}`],
      ['GET', `manifests/${note.digest}`],
      ['GET', 'tags/list'],
    ])('%s %s is not there, just as what never was', async (method, path) => {
      const answer = await ask(method, path)
      const never = await scene.oci(account()).request(method, `/v2/bob.test/never/${path}`)
      expect(answer.status).toBe(404)
      expect(never.status).toBe(404)
      const told = (text: string) => text.replaceAll(name, 'never')
      expect(told(await answer.text())).toBe(await never.text())
    })

    test('referrers are none', async () => {
      const answer = await ask('GET', `referrers/${image.digest}`)
      const never = await scene.oci(account()).request('GET', `/v2/bob.test/never/referrers/${image.digest}`)
      expect(answer.status).toBe(never.status)
      const text = await answer.text()
      expect(text).not.toContain(note.digest)
      expect(text).toBe(await never.text())
    })

    test('no blob is mounted elsewhere', async () => {
      const target = account() === undefined ? 'bob.test/other' : 'carol.test/other'
      const query = new URLSearchParams({ mount: layer.digest, from: repository }).toString()
      for (const search of [query, `mount=${layer.digest}`]) {
        const answer = await scene.oci(account()).request('POST', `/v2/${target}/blobs/uploads/?${search}`)
        expect([401, 403]).toContain(answer.status)
      }
    })

    test('the hold itself gives nothing', async () => {
      const getBlob = new URL('/xrpc/com.atproto.sync.getBlob', scene.atcr.url)
      getBlob.searchParams.set('did', bob.did)
      getBlob.searchParams.set('cid', layer.digest)
      for (const method of ['GET', 'HEAD']) {
        const asker = account()
        // A token is good for one call.
        const token = asker && (await serviceToken(scene, asker))
        const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` } // prettier-ignore
        const answer = await fetch(getBlob, { method, headers })
        expect(answer.status, `${method} ${await answer.text()}`).toBe(token === undefined ? 401 : 403)
      }
      const registryToken = await tokenOf(scene, account())
      for (const path of [`/blobs/${layer.digest}`, `/v2/direct/blobs/uploads/${image.digest.slice(7)}`]) {
        const answer = await fetch(scene.atcr.url + path, { headers: { authorization: `Bearer ${registryToken}` } }) // prettier-ignore
        expect([403, 404], path).toContain(answer.status)
      }
    })

    test('pages of it are not there', async () => {
      const browser = await browserOf(scene, account())
      const paths = [`/r/${repository}`, `/r/${repository}/tags/v1`, `/r/${repository}/manifests/${image.digest}`]
      const under = ['raw', 'diff', 'history', 'blob', 'card.png', 'feed.atom', 'feed.json', 'edit', 'delete']
      const more = under.map((it) => `/r/${repository}/-/${it}`)
      for (const path of [...paths, ...more]) {
        const { body, headers, status } = await browser.get(path, { accept: 'text/html' })
        const never = await browser.get(path.replace(name, 'never'), { accept: 'text/html' })
        expect([path, status]).toEqual([path, never.status])
        expect(status, path).toBeGreaterThanOrEqual(300)
        expect(body, path).not.toContain(layer.digest)
        if (status < 400) expect(headers.location, path).toMatch(/login/)
      }
    }) // prettier-ignore

    test('no list, feed, search, site map or live event speaks of it', async () => {
      const browser = await browserOf(scene, account())
      const index = (await browser.get('/sitemap.xml')).body
      const maps = [...index.matchAll(/<loc>([^<]+)<\/loc>/g)].map(([, loc]) => new URL(String(loc).replaceAll('&amp;', '&'))) // prettier-ignore
      const paths = [
        '/',
        '/u/bob.test',
        '/u/bob.test/feed.atom',
        '/u/bob.test/feed.json',
        '/stars',
        `/h/${scene.holdDid}`,
        ...maps.map(({ pathname, search }) => pathname + search),
      ]
      for (const path of paths) expect((await browser.get(path)).body, path).not.toContain(name)
      for (const asked of [name, 'black', `docker pull ${scene.registry}/${repository}`, image.digest]) {
        const { body } = await browser.get(`/search?${new URLSearchParams({ q: asked }).toString()}`)
        expect(body, asked).not.toContain(`/r/${repository}`)
      }
      expect(await heardLive(scene, browser.cookies)).not.toContain(name)
    })

    test('skopeo and podman are told nothing else', async () => {
      for (const source of [skopeo, podman]) {
        await using client = await scene.client(source, account())
        await expect(client.pull(`${repository}:v1`), source.name).rejects.toThrow(/unknown|denied|unauthorized|not found/i) // prettier-ignore
      }
    })
  })
})

describe('local development', () => {
  let scene: Scenario
  beforeAll(async () => {
    scene = await Scenario.start('Local development', ['test_mode'])
  })
  afterAll(() => scene?.[Symbol.asyncDispose]())

  test('the page says plain http on this machine', () => {
    const { address, addr, test_mode: isTest } = settingsUnder('Local development')
    expect({ address, addr, isTest }).toEqual({ address: 'http://127.0.0.1:5000', addr: '127.0.0.1:5000', isTest: true }) // prettier-ignore
  })

  test('clients without TLS push and pull', async () => {
    const { alice } = scene.infrastructure.accounts
    const image = await scene.image('local', [3000, 2 * 2 ** 20])
    await using pushing = await scene.client(skopeo, alice)
    await pushing.push(image, 'alice.test/local:v1')
    await using pulling = await scene.client(podman, alice)
    expect((await pulling.pull('alice.test/local:v1')).digest).toBe(image.descriptor.digest)
    await pulling.push(image, 'alice.test/local:v2')
  })

  test('https is not pretended: whoever insists on it is told', async () => {
    const { status, stderr } = await run('skopeo', ['inspect', `docker://${scene.registry}/alice.test/local:v1`]) // prettier-ignore
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/HTTP response to HTTPS client/)
  })
})

function withQuery(fields: Record<string, string>): { searchParams: URLSearchParams } {
  return { searchParams: new URLSearchParams(fields) }
}

async function browserOf(scene: Scenario, account: Account | undefined): Promise<BrowserTwin> {
  const browser = new BrowserTwin(scene.atcr.url)
  if (account !== undefined) await signIn(browser, account)
  return browser
}

/** A registry token for pulling, as clients carry it wherever the registry's host leads. */
async function tokenOf(scene: Scenario, account: Account | undefined): Promise<string> {
  const realm = `realm="${scene.atcr.url}/auth/token",service="${scene.registry}"`
  return scene.oci(account).fetchToken(`Bearer ${realm},scope="repository:bob.test/blackpearl:pull"`)
}

/** What the account's own server says to the hold for it. */
async function serviceToken(scene: Scenario, { handle, password }: Account): Promise<string> {
  const { url } = scene.infrastructure.pds
  const session = await fetch(`${url}/xrpc/com.atproto.server.createSession`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ identifier: handle, password }),
  })
  const { accessJwt } = (await session.json()) as { accessJwt: string }
  const query = new URLSearchParams({ aud: scene.holdDid, lxm: 'com.atproto.sync.getBlob' }).toString()
  const answer = await fetch(`${url}/xrpc/com.atproto.server.getServiceAuth?${query}`, {
    headers: { authorization: `Bearer ${accessJwt}` },
  })
  return ((await answer.json()) as { token: string }).token
}

/** What the stream of pushes says of the last hours to somebody who comes back to it; it says so at once. */
async function heardLive(scene: Scenario, cookies = new Map<string, string>()): Promise<string> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const after = new Date(Date.now() - 3_600_000).toISOString()
  const response = await fetch(`${scene.atcr.url}/events/pushes?after=${after}`, {
    headers: { cookie },
    signal: AbortSignal.timeout(3000),
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let heard = ''
  try {
    for await (const chunk of response.body ?? []) heard += Buffer.from(chunk).toString()
  } catch {
    // The end is ours: there is none.
  }
  return heard
}
