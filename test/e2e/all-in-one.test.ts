import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { verifyRepoCar } from '@atproto/repo'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { AllInOne } from '../network/all-in-one.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { Infrastructure } from '../network/infrastructure.ts'
import { signInAtPds } from '../network/oauth-sign-in.ts'
import { signIn } from '../network/web-login.ts'
import { podman } from './clients/libpod.ts'
import type { Client, ClientSource } from './clients/client.ts'
import { skopeo } from './clients/skopeo.ts'
import { run } from './command.ts'
import { OciLayout, verifiedBlobs } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: one command writes the settings, one starts a whole registry, and real clients do not notice. Method: the door as a
 * process of its own with the file that it wrote, before a test network; at one host name and at two.
 */
const places = [
  { title: 'one host name', apart: false },
  { title: 'two host names', apart: true },
]

describe.each(places)('AppView and hold at $title', ({ apart }) => {
  let folder: string
  let infrastructure: Infrastructure
  let atcr: AllInOne
  /** Where the hold is for others. */
  let holdUrl: string
  let holdDid: string

  beforeAll(async () => {
    folder = await makeTemporaryFolder('aio')
    infrastructure = await Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined }) // prettier-ignore
    const { appview: port } = infrastructure.ports
    holdUrl = `http://localhost:${port}`
    holdDid = `did:web:localhost%3A${port}`
    const settings = { owner: 'alice.test', ...(apart ? { hold_address: holdUrl } : {}) }
    atcr = await AllInOne.configure({ folder, settings, infrastructure })
    await atcr.serve()
  })
  afterAll(async () => {
    await atcr?.[Symbol.asyncDispose]()
    await infrastructure?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const registry = () => new URL(atcr.url).host
  const get = (path: string, origin = atcr.url) => fetch(origin + path, { redirect: 'manual' })

  async function start(source: ClientSource, account = infrastructure.accounts.alice): Promise<Client> {
    const own = await mkdtemp(join(folder, `${source.name.slice(0, 1)}-`))
    const client = await source.start({ registry: registry(), folder: own })
    await client.login({ username: account.handle, password: account.appPassword })
    return client
  }
  async function image(name: string, layerBytes: readonly number[]) {
    const layout = await OciLayout.create(join(folder, name))
    const descriptor = await layout.addImage('v1', layerBytes)
    return { layoutPath: layout.path, tag: 'v1', descriptor }
  }

  test('a push and a pull by skopeo, byte for byte, with a layer of many parts', async () => {
    await using client = await start(skopeo)
    const pushed = await image('large', [3000, 40 * 2 ** 20])
    await client.push(pushed, 'alice.test/large:v1')
    const pulled = await client.pull('alice.test/large:v1')
    expect(pulled.digest).toBe(pushed.descriptor.digest)
    if (!('layoutPath' in pulled)) throw new Error('skopeo keeps a layout')
    expect(await verifiedBlobs(pulled.layoutPath)).toEqual(await verifiedBlobs(pushed.layoutPath))
  })

  test('a push and a pull by podman', async () => {
    await using client = await start(podman)
    const pushed = await image('for-podman', [1000, 5 * 2 ** 20])
    await client.push(pushed, 'alice.test/podman:v1')
    expect((await client.pull('alice.test/podman:v1')).digest).toMatch(/^sha256:/)
  })

  test('uploads and downloads go straight to the hold with the token of the registry along, and are taken', async () => {
    const { handle, appPassword } = infrastructure.accounts.alice
    const name = 'alice.test/straight'
    const query = `service=${encodeURIComponent(registry())}&scope=repository:${name}:pull,push`
    const basic = Buffer.from(`${handle}:${appPassword}`).toString('base64')
    const answer = await fetch(`${atcr.url}/auth/token?${query}`, { headers: { authorization: `Basic ${basic}` } }) // prettier-ignore
    const { token } = (await answer.json()) as { token: string }
    // Docker and containerd send it to wherever the registry's host points.
    const headers = { authorization: `Bearer ${token}` }
    const docker = { ...headers, 'user-agent': 'docker/28.0.0 go/go1.24 kernel/6.1 os/linux arch/amd64 UpstreamClient(Docker-Client/28.0.0 \\(linux\\))' } // prettier-ignore
    const begun = await fetch(`${atcr.url}/v2/${name}/blobs/uploads/`, { method: 'POST', headers: docker })
    expect(begun.status).toBe(202)
    const location = new URL(begun.headers.get('location') ?? '', atcr.url)
    const bytes = new Uint8Array(100_000).fill(7)
    const digest = `sha256:${Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex')}`
    const patched = await fetch(location, { method: 'PATCH', headers: docker, body: bytes })
    expect(patched.status, await patched.text()).toBe(202)
    const next = new URL(patched.headers.get('location') ?? '', location)
    next.searchParams.set('digest', digest)
    const put = await fetch(next, { method: 'PUT', headers: docker })
    expect(put.status, await put.text()).toBe(201)
    const read = await fetch(`${atcr.url}/v2/${name}/blobs/${digest}`, { headers: docker, redirect: 'manual' }) // prettier-ignore
    expect(read.status).toBe(307)
    const signed = new URL(read.headers.get('location') ?? '')
    expect(signed.origin).toBe(holdUrl)
    expect(signed.pathname).toBe(`/blobs/${digest}`)
    const blob = await fetch(signed, { headers: docker })
    expect(new Uint8Array(await blob.arrayBuffer())).toEqual(bytes)
    signed.search = ''
    expect((await fetch(signed, { headers: docker })).status).toBe(403)
  })

  test('the hold is private as long as nobody says otherwise', async () => {
    const target = `oci:${join(folder, 'nothing')}:x`
    const { status, stderr } = await run('skopeo', ['copy', '--src-no-creds', '--src-tls-verify=false', `docker://${registry()}/alice.test/large:v1`, target]) // prettier-ignore
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/unauthorized|denied|manifest unknown|name unknown/i)
  })

  test('pages of both open, with what they load', async () => {
    const home = await get('/')
    expect(home.status).toBe(200)
    expect(await home.text()).toContain('Nothing has been pushed yet')
    const panel = await get('/admin/login', apart ? 'http://127.0.0.1:' + infrastructure.ports.appview : atcr.url) // prettier-ignore
    expect(panel.status).toBe(200)
    const text = `${await (await get('/u/alice.test')).text()}${await panel.text()}`
    const assets = new Set([...text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)].map(([, path]) => path))
    expect([...assets].some((path) => path?.startsWith('/assets/hold-'))).toBe(true)
    expect([...assets].some((path) => path?.startsWith('/assets/atcr-'))).toBe(true)
    for (const path of assets) {
      const owner = path?.startsWith('/assets/hold-') === true && apart ? holdUrl : atcr.url
      expect((await get(String(path), owner)).status, path).toBe(200)
    }
    expect(await (await get('/robots.txt')).text()).toContain('Sitemap')
    expect(await (await get('/', holdUrl)).text()).toContain(apart ? holdDid : '/assets/atcr-')
  })

  test('the owner signs in to both, and neither session ends the other', async () => {
    const browser = new BrowserTwin(atcr.url)
    const { alice } = infrastructure.accounts
    expect((await signIn(browser, alice)).status).toBe(303)
    const { location } = await browser.submit('/admin/login', '/admin/login', { actor: alice.handle })
    const back = await signInAtPds(new URL(location), alice)
    expect((await browser.get(back.pathname + back.search)).status).toBe(303)
    expect((await browser.get('/admin')).status).toBe(200)
    expect((await browser.get('/settings')).status).toBe(200)
    expect((await browser.get('/u/alice.test')).body).toContain('large')
  })

  test('the DID document names what is there, and the data repo is signed with its key', async () => {
    const answer = await get('/.well-known/did.json', holdUrl)
    const document = (await answer.json()) as {
      id: `did:web:${string}`
      service: { id: string; type: string; serviceEndpoint: string }[]
      verificationMethod: { publicKeyMultibase: string }[]
    }
    expect(document.id).toBe(holdDid)
    const names = document.service.map(({ id }) => id.slice(id.indexOf('#')))
    expect(names).toEqual(['#atproto_pds', '#atcr_hold', ...(apart ? [] : ['#atcr_appview'])])
    for (const { serviceEndpoint } of document.service) expect(serviceEndpoint).toBe(holdUrl)
    expect(await (await get('/.well-known/atproto-did', holdUrl)).text()).toBe(holdDid)
    const car = await get(`/xrpc/com.atproto.sync.getRepo?did=${encodeURIComponent(holdDid)}`, holdUrl)
    const key = document.verificationMethod[0]?.publicKeyMultibase ?? ''
    const { creates } = await verifyRepoCar(new Uint8Array(await car.arrayBuffer()), holdDid, `did:key:${key}`) // prettier-ignore
    expect(creates.map(({ collection }) => collection)).toContain('io.atcr.hold.captain')
    for (const path of ['/health', '/xrpc/_health']) expect((await get(path, holdUrl)).status, path).toBe(200)
  })

  test('commands of both programs work on its folder, while it runs', async () => {
    const backup = join(folder, 'backup')
    const [shown, backedUp, verified, rotated, healthy] = await Promise.all([
      atcr.withConfig('hold', 'key', 'show'),
      atcr.withConfig('hold', 'backup', backup, '--blobs'),
      atcr.withConfig('hold', 'verify'),
      atcr.withConfig('appview', 'key', 'rotate'),
      atcr.run('healthcheck', atcr.url),
    ])
    expect(shown.stdout, shown.stderr).toContain(holdDid)
    expect(backedUp.exitCode, backedUp.stderr).toBe(0)
    expect(await readdir(backup)).toEqual(expect.arrayContaining(['hold.db', 'signing.key', 'did.txt', 'blobs'])) // prettier-ignore
    expect(verified.exitCode, verified.stderr).toBe(0)
    expect(rotated.stdout, rotated.stderr).toContain('Registry tokens are signed with')
    expect(healthy.exitCode).toBe(0)
    // Nobody else works on a folder that is in use.
    const second = await atcr.withConfig('hold', 'key', 'rotate')
    expect(second.stderr).toContain('is in use by process')
  })

  test('after a restart everything is there, and stopping was clean', async () => {
    await atcr.stop()
    const log = await atcr.log()
    expect(log).toContain('"msg":"stopping"')
    expect(log).not.toMatch(/"level":"(?:error|fatal)"/)
    await atcr.serve()
    await using client = await start(skopeo)
    expect((await client.pull('alice.test/large:v1')).digest).toMatch(/^sha256:/)
    await client.push(await image('again', [2000]), 'alice.test/again:v1')
    expect(await (await get('/.well-known/atproto-did', holdUrl)).text()).toBe(holdDid)
    expect(await readFile(join(folder, 'data/did.txt'), 'utf8')).toBe(`${holdDid}\n`)
  })
})

test('an owner whom nobody knows is told in a sentence, and the next start makes it good', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atcr-all-in-one-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const infrastructure = stack.use(
    await Infrastructure.start({ folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined }), // prettier-ignore
  )
  const atcr = stack.use(
    await AllInOne.configure({ folder, settings: { owner: 'nobody.test' }, infrastructure }),
  )
  const refused = await atcr.withConfig('serve')
  expect(refused.exitCode).toBe(1)
  expect(refused.stderr).toMatch(/the owner "nobody.test" is no handle that leads to an account/)
  expect(refused.stderr).not.toContain('    at ')
  const text = await readFile(atcr.configFile, 'utf8')
  await writeFile(atcr.configFile, text.replace('nobody.test', '"@Bob.test"'))
  await atcr.serve()
  const { did } = infrastructure.accounts.bob
  const answer = await fetch(`${atcr.url}/xrpc/com.atproto.repo.getRecord?repo=did:web:localhost%253A${infrastructure.ports.appview}&collection=io.atcr.hold.captain&rkey=self`) // prettier-ignore
  expect(await answer.json()).toMatchObject({ value: { owner: did } })
})
