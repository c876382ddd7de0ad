import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { BrowserTwin } from '../network/browser-twin.ts'
import type { Daemon } from '../network/daemon.ts'
import { forgetPeakMemory, residentBytes } from '../network/machine.ts'
import { OciClient } from '../network/oci-client.ts'
import { addresses, PublicNetwork } from '../network/public-network.ts'
import { imageOfFiles, randomLayer } from '../network/sample-image.ts'
import { signIn } from '../network/web-login.ts'
import { worldNames } from '../network/world-names.ts'
import { mustRun, run } from './command.ts'
import { OciLayout, verifiedBlobs } from './oci-layout.ts'

/**
 * Goal: behind the proxies that we tell operators to use, as they are told, everything works that works without. Method: the
 * committed Caddyfile, then both examples of docs/operating/behind-a-proxy.md, before AppView and hold in the environment of
 * the compose file: TLS, ports 443 and 80, public names, no test_mode.
 */
const registry = worldNames.appview
const registryUrl = `https://${registry}`
const holdUrl = `https://${worldNames.hold}`
const mebibyte = 2 ** 20

let network: PublicNetwork
beforeAll(async () => {
  network = await PublicNetwork.start({ compose: 'deploy/docker-compose.prod.yml' })
}, 300_000)
afterAll(() => network?.[Symbol.asyncDispose]())

const inside = (command: string, ...args: string[]) => mustRun(...network.machine.inside(command, args))
const credentials = () => `${network.accounts.alice.handle}:${network.accounts.alice.appPassword}`
const clientOf = (name: 'alice' | 'bob') => {
  const { handle, appPassword } = network.accounts[name]
  return new OciClient({ registryUrl, username: handle, password: appPassword })
}
/** A header for curl. */
async function authorizationOf(name: 'alice' | 'bob', repository: string): Promise<string> {
  const scope = `repository:${repository}:pull,push`
  return `Authorization: Bearer ${await clientOf(name).fetchToken(`Bearer realm="${registryUrl}/auth/token",service="${registry}",scope="${scope}"`)}`
}
/** What curl is told to write, from the machine's own address or another one. */
const curl = (...args: string[]) => inside('curl', '-sS', '--cacert', network.caFile, ...args)
const statusOf = (...args: string[]) => curl('-o', '/dev/null', '-w', '%{http_code}', ...args)

async function pushBySkopeo(tag: string, layerBytes: number): Promise<OciLayout> {
  const layout = await OciLayout.create(join(network.folder, `layout-${tag}`))
  await layout.addImage('v1', [layerBytes, 2000])
  await inside('skopeo', 'copy', '--preserve-digests', '--dest-cert-dir', network.certificateFolder, '--dest-creds', credentials(), `oci:${layout.path}:v1`, `docker://${registry}/alice.test/trial:${tag}`) // prettier-ignore
  return layout
}

async function pullBySkopeo(tag: string): Promise<string> {
  const target = join(network.folder, `pulled-${tag}`)
  await inside('skopeo', 'copy', '--preserve-digests', '--src-no-creds', '--src-cert-dir', network.certificateFolder, `docker://${registry}/alice.test/trial:${tag}`, `oci:${target}:v1`) // prettier-ignore
  return target
}

/** What a proxy may spoil: a push and a pull, bytes both ways, a WebSocket, events that must not wait. */
async function tryEverything(name: string): Promise<void> {
  const frame = nextFrame()
  const shown = await pushesShown()
  const layout = await pushBySkopeo(name, 5 * mebibyte)
  expect(await verifiedBlobs(await pullBySkopeo(name))).toEqual(await verifiedBlobs(layout.path))
  expect(await frame).toBeGreaterThan(0)
  expect(await shown.next('alice.test/trial')).toContain('event: push')
  shown.close()
  // In pieces of unknown length, by the AppView on to the hold.
  const layer = await randomLayer(8 * mebibyte, name)
  const bob = clientOf('bob')
  await bob.authorize('bob.test/streamed', 'pull,push')
  await bob.pushBlob('bob.test/streamed', layer, 'streamed-patch')
}

/** The first live frame of the hold's event stream: its length. */
function nextFrame(): Promise<number> {
  const socket = new WebSocket(`wss://${worldNames.hold}/xrpc/com.atproto.sync.subscribeRepos`)
  socket.binaryType = 'arraybuffer'
  return new Promise((resolve, reject) => {
    socket.onmessage = ({ data }) => {
      resolve((data as ArrayBuffer).byteLength)
      socket.close()
    }
    socket.onerror = () => reject(new Error('the WebSocket failed'))
    socket.onclose = () => reject(new Error('the WebSocket was closed'))
  })
}

/** Listens to the pushes that the first page shows as they come. */
async function pushesShown(): Promise<{ next: (text: string) => Promise<string>; close: () => void }> {
  const stop = new AbortController()
  const response = await fetch(`${registryUrl}/events/pushes`, { signal: stop.signal })
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let seen = ''
  return {
    async next(text) {
      while (!seen.includes(text)) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`the stream ended; it said ${seen}`)
        seen += Buffer.from(value).toString()
      }
      return seen
    },
    close: () => stop.abort(),
  }
}

describe('Caddy with deploy/Caddyfile', () => {
  test('push and pull, the event stream of the hold and pushes on the first page', () =>
    tryEverything('caddy'))

  test('podman believes in the CA it was given, and in no other', async () => {
    const storage = ['--root', join(network.folder, 'podman'), '--runroot', join(network.folder, 'podman-run'), '--storage-driver', 'vfs'] // prettier-ignore
    const podman = (...args: string[]) => inside('podman', ...storage, ...args)
    const trusting = ['--cert-dir', network.certificateFolder]
    const image = `${registry}/alice.test/trial:caddy`
    await podman('pull', '-q', ...trusting, image)
    await podman('push', '-q', ...trusting, '--creds', credentials(), image, `docker://${registry}/alice.test/trial:podman`) // prettier-ignore
    const distrusting = await run(...network.machine.inside('podman', [...storage, 'pull', '-q', `${registry}/alice.test/trial:podman`])) // prettier-ignore
    expect(distrusting.status).not.toBe(0)
    expect(distrusting.stderr).toContain('certificate signed by unknown authority')
  })

  test('HTTP/2 to clients, HTTPS for those who come without, and for ever after', async () => {
    expect(await curl('--http2', '-o', '/dev/null', '-w', '%{http_version} %{http_code}', `${registryUrl}/`)).toBe('2 200') // prettier-ignore
    const plain = await curl('-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', `http://${registry}/u/alice.test`) // prettier-ignore
    expect(plain).toBe(`308 https://${registry}/u/alice.test`)
    for (const url of [registryUrl, holdUrl]) {
      expect((await fetch(url)).headers.get('strict-transport-security')).toBe('max-age=31536000')
    }
  })

  test('where clients are sent to are the public names, and a part of a blob can be asked for', async () => {
    const bob = clientOf('bob')
    const image = imageOfFiles({ 'hello.txt': 'through a proxy' })
    await bob.pushImage('bob.test/hosts', image, 'v1')
    const [layer] = image.blobs
    const path = `/v2/bob.test/hosts/blobs/${layer?.digest}`
    const redirect = await bob.request('GET', path)
    expect([redirect.status, new URL(redirect.headers.get('location') ?? '').origin]).toEqual([307, holdUrl])
    const part = await bob.pullBlob('bob.test/hosts', layer?.digest ?? '', { range: 'bytes=2-5' })
    const whole = Buffer.concat(await Array.fromAsync(layer?.bytes() ?? []))
    expect(part.status).toBe(206)
    expect(part.headers.get('content-range')).toBe(`bytes 2-5/${layer?.sizeBytes}`)
    expect(Buffer.from(await part.arrayBuffer())).toEqual(whole.subarray(2, 6))
    const begun = await bob.request('POST', '/v2/bob.test/hosts/blobs/uploads/')
    expect(new URL(begun.headers.get('location') ?? '', registryUrl).origin).toBe(registryUrl)
  })

  test('somebody signs in, and is listed with the address of the browser, not that of the proxy or of a lie', async () => {
    const { alice } = network.accounts
    const browser = new BrowserTwin(registryUrl)
    expect((await signIn(browser, alice)).status).toBe(303)
    const headers = { 'x-forwarded-for': '203.0.113.7', 'x-real-ip': '203.0.113.7', forwarded: 'for=203.0.113.7' } // prettier-ignore
    const { status, body } = await browser.get('/settings/sign-ins', headers)
    expect(status).toBe(200)
    expect(body).toContain(`from ${addresses.client}`)
    expect(body).not.toContain('203.0.113.7')
  })

  test('limits are by the address of the client, whatever it writes into headers, and are passed on as they are', async () => {
    const wrong = (from: string, lie: number) =>
      statusOf('--interface', from, '-u', 'bob.test:wrong', '-H', `X-Forwarded-For: 203.0.113.${lie}`, `${registryUrl}/auth/token?service=${registry}`) // prettier-ignore
    const statuses: string[] = []
    for (let lie = 1; lie <= 8 && statuses.at(-1) !== '429'; lie++)
      statuses.push(await wrong(addresses.client, lie))
    expect(new Set(statuses)).toEqual(new Set(['401', '429']))
    expect(await wrong(addresses.otherClient, 1)).toBe('401')
    const limited = await curl('-i', '-u', 'bob.test:wrong', '--interface', addresses.client, `${registryUrl}/auth/token?service=${registry}`) // prettier-ignore
    expect(limited).toMatch(/^retry-after: \d+\r$/im)
    expect(limited).toContain('TOOMANYREQUESTS')
  })

  test('what is too large is refused in our words', async () => {
    const bytes = new Uint8Array(5 * mebibyte)
    const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }
    const alice = clientOf('alice')
    await alice.authorize('alice.test/trial', 'pull,push')
    const answer = await alice.request('PUT', '/v2/alice.test/trial/manifests/large', { headers, body: bytes }) // prettier-ignore
    expect(answer.status).toBe(413)
    expect(await answer.json()).toMatchObject({ errors: [{ code: 'SIZE_INVALID' }] })
  })

  test('a layer of 300 MiB goes through all three, and none of them holds it', async () => {
    const programs: [name: string, daemon: Daemon][] = [
      ['caddy', network.caddy],
      ['appview', network.appview()],
      ['hold', network.hold],
    ]
    const before = new Map(programs.map(([name, { pid }]) => [name, residentBytes(pid).now]))
    for (const [, { pid }] of programs) await forgetPeakMemory(pid)
    const layer = await randomLayer(300 * mebibyte, 'large')
    const file = join(network.folder, 'large')
    await writeFile(file, layer.bytes())
    const bob = clientOf('bob')
    const begun = await bob.request('POST', '/v2/bob.test/large/blobs/uploads/')
    const location = new URL(begun.headers.get('location') ?? '', registryUrl)
    const authorization = await authorizationOf('bob', 'bob.test/large')
    const patch = ['-X', 'PATCH', '-H', authorization, '-H', 'Content-Type: application/octet-stream']
    expect(await statusOf(...patch, '-T', file, location.href)).toBe('202')
    location.searchParams.set('digest', layer.digest)
    expect((await bob.request('PUT', location.href)).status).toBe(201)
    const pulled = ['-L', '-o', '/dev/null', '-w', '%{http_code} %{size_download}', '-H', authorization]
    const answer = await curl(...pulled, `${registryUrl}/v2/bob.test/large/blobs/${layer.digest}`)
    expect(answer).toBe(`200 ${layer.sizeBytes}`)
    for (const [name, { pid }] of programs) {
      const grownBytes = residentBytes(pid).peak - (before.get(name) ?? 0)
      expect(grownBytes, name).toBeLessThan(layer.sizeBytes / 2)
    }
  })

  test('a push goes on over a reload of Caddy', async () => {
    const alice = clientOf('alice')
    const begun = await alice.request('POST', '/v2/alice.test/trial/blobs/uploads/')
    const location = new URL(begun.headers.get('location') ?? '', registryUrl)
    const layer = await randomLayer(16 * mebibyte, 'reload')
    const chunks = await Array.fromAsync(layer.bytes())
    const upload = ['-X', 'PATCH', '-T', '-', '-H', await authorizationOf('alice', 'alice.test/trial'), '-H', 'Content-Type: application/octet-stream'] // prettier-ignore
    const told = ['-o', '/dev/null', '-w', '%{http_version} %{http_code}', location.href]
    const sender = spawn(...network.machine.inside('curl', ['-sS', '--http2', '--cacert', network.caFile, ...upload, ...told]), { stdio: ['pipe', 'pipe', 'inherit'] }) // prettier-ignore
    const answered = Array.fromAsync(sender.stdout as AsyncIterable<Buffer>)
    const write = async (chunk: Uint8Array) => {
      if (!sender.stdin.write(chunk)) await once(sender.stdin, 'drain')
    }
    for (const chunk of chunks.slice(0, 8)) await write(chunk)
    await network.reloadCaddy()
    for (const chunk of chunks.slice(8)) await write(chunk)
    sender.stdin.end()
    expect(Buffer.concat(await answered).toString()).toBe('2 202')
    location.searchParams.set('digest', layer.digest)
    expect((await alice.request('PUT', location.href)).status).toBe(201)
  })
})

/** The fenced examples of the page, as they stand there, under the names of this network. */
function examplesOf(language: string): string[] {
  const page = readFileSync('docs/operating/behind-a-proxy.md', 'utf8')
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, text = '']) => text.replaceAll('registry.example', registry).replaceAll('hold.example', worldNames.hold)) // prettier-ignore
}

describe('docs/operating/behind-a-proxy.md', () => {
  test('Caddy as the page has it', async () => {
    const [example = ''] = examplesOf('caddyfile')
    expect(example).toContain('reverse_proxy 127.0.0.1:5000')
    await network.reloadCaddy(example)
    await tryEverything('caddy-example')
  })

  test('nginx as the page has it', async () => {
    const [servers = '', map = ''] = examplesOf('nginx')
    await using _nginx = await startNginx(`${map}\n${servers}\n${servers.replaceAll(registry, worldNames.hold).replaceAll('127.0.0.1:5000', '127.0.0.1:8080')}`) // prettier-ignore
    const [version] = (await curl('-I', '--http2', registryUrl)).split('\r\n')
    expect(version).toBe('HTTP/2 200 ')
    expect((await fetch(registryUrl)).headers.get('server')).toMatch(/^nginx/)
    await tryEverything('nginx-example')
    const plain = await curl('-o', '/dev/null', '-w', '%{http_code} %{redirect_url}', `http://${registry}/u/bob.test`) // prettier-ignore
    expect(plain).toBe(`301 https://${registry}/u/bob.test`)
    const browser = new BrowserTwin(registryUrl)
    await signIn(browser, network.accounts.bob)
    const { body } = await browser.get('/settings/sign-ins')
    expect(body).toContain(`from ${addresses.client}`)
  })
})

/** nginx at the address of AppView and hold, with certificates of the same CA. */
async function startNginx(inHttp: string): Promise<Daemon> {
  await network.freeFront()
  const folder = join(network.folder, 'nginx')
  await mkdir(folder)
  const issued = join(network.folder, 'caddy/caddy/certificates/local')
  const config = inHttp
    .replaceAll(/\/etc\/ssl\/([\w.]+)\/fullchain\.pem/g, (_, name: string) =>
      join(issued, name, `${name}.crt`),
    )
    .replaceAll(/\/etc\/ssl\/([\w.]+)\/privkey\.pem/g, (_, name: string) => join(issued, name, `${name}.key`))
    .replaceAll(/listen (443|80)\b/g, `listen ${addresses.front}:$1`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const lines = ['user root;', 'daemon off;', `pid ${folder}/pid;`, 'events {}', 'http {', ...temporary, `access_log ${folder}/access.log;`, config, '}'] // prettier-ignore
  const file = join(folder, 'nginx.conf')
  await writeFile(file, lines.join('\n'))
  const nginx = network.machine.daemon('nginx', ['-p', folder, '-e', `${folder}/error.log`, '-c', file], { logFile: join(folder, 'log') }) // prettier-ignore
  await nginx.untilReady(async () => {
    const { stdout } = await run(...network.machine.inside('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', network.caFile, `${registryUrl}/health`])) // prettier-ignore
    return stdout === '200'
  }, 60)
  return nginx
}
