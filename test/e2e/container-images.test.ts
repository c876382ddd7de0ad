import { generateKeyPairSync } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { releasedPrograms } from '../../scripts/release/programs.ts'
import { selfSignedCertificate } from '../../src/appview/services/certificate.ts'
import { sleep } from '../../src/lib/clock.ts'
import { version } from '../../src/lib/version.ts'
import { Infrastructure } from '../network/infrastructure.ts'
import { OciClient } from '../network/oci-client.ts'
import { mustRun } from './command.ts'
import { Containers } from './containers.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: the images are what an operator wants to run: small, without a shell, as nobody in particular, on a file system that
 * cannot be written, and whole. Method: build them, look inside, run them hardened, and have the registry that runs in
 * two of them keep them all.
 */
const images = releasedPrograms.map(({ name }) => name)
/** All files of an image together, in bytes. */
const imageBytesMax = 160e6

let folder: string
let containers: Containers

const buildOrPush = (...words: string[]) =>
  mustRun(process.execPath, ['scripts/images.ts', '--out', join(folder, 'out'), ...words, ...images], containers.environment) // prettier-ignore

beforeAll(async () => {
  folder = await makeTemporaryFolder('atcr-images')
  containers = await Containers.create(join(folder, 'containers'))
  await buildOrPush()
}, 900_000)
afterAll(async () => {
  await containers[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
}, 300_000)

interface ImageDetails {
  Id: string
  Size: number
  RootFS: { Layers: string[] }
  Config: { User: string; Labels: Record<string, string>; Env: string[]; Volumes: Record<string, object> }
}

interface ContainerDetails {
  State: { Status: string; ExitCode: number; Health: { Status: string } }
}

/** Path, type and permissions, owner of every file, as tar lists them. */
async function filesIn(image: string) {
  const id = await containers.podman('create', image)
  const archive = join(folder, `${image}.tar`)
  await containers.podman('export', '--output', archive, id)
  const lines = (await mustRun('tar', ['--list', '--verbose', '--numeric-owner', '--file', archive])).trim().split('\n') // prettier-ignore
  return lines.map((line) => {
    const [mode = '', owner = '', size = '', , , ...path] = line.split(/\s+/)
    return { mode, owner, sizeBytes: Number(size), path: path.join(' ').replace(/ -> .*/, '') }
  })
}

/** The least that a program wants to be told. */
const ownSettings: Record<string, Record<string, string>> = {
  'atcr-appview': { ATCR_SERVER_DEFAULT_HOLD_DID: 'did:web:hold.example' },
  'atcr-hold': { HOLD_SERVER_PUBLIC_URL: 'https://hold.example', HOLD_REGISTRATION_OWNER_DID: 'did:web:alice.example' }, // prettier-ignore
  atcr: { ATCR_ADDRESS: 'https://registry.example', ATCR_OWNER: 'did:web:alice.example' },
}

/** The file of a certificate as a company has them, that no other machine knows. */
async function makeAuthority(): Promise<string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const file = join(folder, 'company-ca.crt')
  const options = { commonName: 'company.example', notBefore: new Date(), days: 2 }
  await writeFile(file, selfSignedCertificate(privateKey, options))
  return file
}

test('images that are built by the Dockerfile alone have this version too', async () => {
  for (const name of await readdir('deploy')) {
    if (!name.startsWith('Dockerfile')) continue
    expect(await readFile(join('deploy', name), 'utf8')).toContain(`\nARG VERSION=${version}\n`)
  }
})

test('all images have the layer of the system in common', async () => {
  const details = await Promise.all(images.map((image) => containers.inspect<ImageDetails>(image)))
  expect(new Set(details.map(({ RootFS }) => RootFS.Layers[0])).size).toBe(1)
})

describe.each(images)('%s', (image) => {
  test('holds one program, nothing to run others with, and nothing that runs as somebody else', async () => {
    const files = await filesIn(image)
    const paths = files.map(({ path }) => path)
    expect(paths).toEqual(expect.arrayContaining(['usr/bin/node', `usr/bin/${image}`, 'etc/ssl/certs/ca-certificates.crt', 'usr/share/zoneinfo/Europe/Berlin', `usr/share/doc/atcr/${image}.cdx.json`, 'usr/lib/atcr/THIRD-PARTY-LICENSES.txt'])) // prettier-ignore
    expect(paths.filter((path) => /^(?:usr\/)?s?bin\/./.test(path)).sort()).toEqual([
      `usr/bin/${image}`,
      'usr/bin/node',
    ])
    const runsOthers = /(?:^|\/)(?:sh|bash|busybox|apt|apt-get|dpkg|npm|npx|corepack)$/
    expect(paths.filter((path) => runsOthers.test(path))).toEqual([])
    const isNobodysBusiness = /\.(?:key|pem|env|db|test\.ts)$|\.git|\.npmrc|\.env/
    expect(paths.filter((path) => isNobodysBusiness.test(path))).toEqual([])
    expect(files.filter(({ mode }) => /s/i.test(mode))).toEqual([])
    expect(files.filter(({ owner }) => owner !== '0/0').map(({ path }) => path)).toEqual(['var/lib/atcr/'])
    // The sticky folder apart, nobody but root may write anything.
    expect(files.filter(({ mode }) => mode[8] === 'w' && !mode.startsWith('l')).map(({ path }) => path)).toEqual(['tmp/']) // prettier-ignore
    expect(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBeLessThan(imageBytesMax)
  })

  test('says what it is and of which sources', async () => {
    const { Config } = await containers.inspect<ImageDetails>(image)
    expect(Config.User).toBe('65532:65532')
    expect(Object.keys(Config.Volumes)).toEqual(['/var/lib/atcr'])
    const revision = (await mustRun('git', ['rev-parse', 'HEAD'])).trim()
    expect(Config.Labels).toMatchObject({ 'org.opencontainers.image.version': version, 'org.opencontainers.image.licenses': 'MIT', 'org.opencontainers.image.revision': expect.stringMatching(new RegExp(`^${revision}(?:-changed)?$`)) }) // prettier-ignore
  })

  test('becomes healthy with its own settings, without a network, and stops when told', async () => {
    const name = `${image}-alone`
    const trusted = ['--volume', `${await makeAuthority()}:/etc/ssl/certs/company-ca.crt:ro`]
    await containers.start(name, image, ownSettings[image] ?? {}, '--network', 'none', ...trusted)
    await containers.untilHealthy(name)
    expect((await containers.inspect<ContainerDetails>(name)).State.Health.Status).toBe('healthy')

    const script = `
      const zone = { timeZone: 'America/Sao_Paulo', timeStyle: 'short' }
      const write = (file) => { try { fs.writeFileSync(file, 'x'); return 'written' } catch (error) { return error.code } }
      const trusted = tls.getCACertificates('default').map((it) => new crypto.X509Certificate(it).subject)
      console.log(JSON.stringify({
        user: process.getuid(),
        certificates: tls.getCACertificates('system').length > 100,
        company: trusted.includes('CN=company.example'),
        hour: new Intl.DateTimeFormat('en-GB', zone).format(new Date('2026-01-01T12:00:00Z')),
        home: fs.readdirSync('/var/lib/atcr').length > 0,
        root: write('/usr/x'),
        temporary: write('/tmp/x'),
      }))`
    const said = await containers.podman('exec', name, '/usr/bin/node', '--eval', script)
    expect(JSON.parse(said)).toEqual({ user: 65_532, certificates: true, company: true, hour: '09:00', home: true, root: 'EROFS', temporary: 'written' }) // prettier-ignore
    const shell = await containers.tryPodman('exec', name, 'sh', '-c', 'true')
    expect(shell.status).not.toBe(0)

    if (image === 'atcr-appview') {
      // It finds nobody there, and says in which line of our sources.
      await vi.waitFor(async () => expect(await containers.log(name)).toMatch(/\/src\/atproto\/[\w-]+\.ts:\d+:\d+/), 60_000) // prettier-ignore
    }
    await containers.podman('stop', '--time', '60', name)
    expect((await containers.inspect<ContainerDetails>(name)).State).toMatchObject({ Status: 'exited', ExitCode: 0 }) // prettier-ignore
    expect(await containers.log(name)).toContain('"signal":"SIGTERM","msg":"stopping"')
  })
})

test('the registry in two of the images keeps both, with what is in them, and gives them back', async () => {
  const options = { folder, ports: {}, storage: 'filesystem', pdsRateLimits: false, progress: () => undefined } as const // prettier-ignore
  await using network = await Infrastructure.start(options)
  const { ports, plc, pds, jetstream, accounts } = network
  const { alice } = accounts
  const host = `127.0.0.1:${ports.appview}`
  const registry = `http://${host}`
  await using _stopped = await startRegistry()

  async function startRegistry(): Promise<AsyncDisposable> {
    const hold = `localhost:${ports.hold}`
    const check = (port: number, name: string) => ['--network', 'host', '--health-cmd', `["/usr/bin/${name}","healthcheck","http://127.0.0.1:${port}"]`] // prettier-ignore
    const holdSettings = {
      HOLD_SERVER_ADDR: `127.0.0.1:${ports.hold}`,
      HOLD_SERVER_PUBLIC_URL: `http://${hold}`,
      HOLD_SERVER_PUBLIC: 'true',
      HOLD_SERVER_TEST_MODE: 'true',
      HOLD_REGISTRATION_OWNER_DID: alice.did,
      HOLD_REGISTRATION_ALLOW_ALL_CREW: 'true',
      HOLD_DATABASE_PLC_DIRECTORY_URL: plc.url,
      HOLD_DATABASE_HANDLE_RESOLVER_URL: pds.url,
    }
    await containers.start('hold', 'atcr-hold', holdSettings, ...check(ports.hold, 'atcr-hold'))
    await containers.untilHealthy('hold')
    jetstream.follow('hold', `http://${hold}`)
    const settings = {
      ATCR_SERVER_ADDR: host,
      ATCR_SERVER_BASE_URL: registry,
      ATCR_SERVER_DEFAULT_HOLD_DID: `did:web:${encodeURIComponent(hold)}`,
      ATCR_SERVER_TEST_MODE: 'true',
      ATCR_IDENTITY_PLC_DIRECTORY_URL: plc.url,
      ATCR_IDENTITY_HANDLE_RESOLVER_URL: pds.url,
      ATCR_JETSTREAM_URLS: jetstream.url,
      ATCR_JETSTREAM_RELAY_ENDPOINTS: '',
    }
    await containers.start('appview', 'atcr-appview', settings, ...check(ports.appview, 'atcr-appview'))
    await containers.untilHealthy('appview')
    return { [Symbol.asyncDispose]: () => containers[Symbol.asyncDispose]() }
  }

  await buildOrPush('--built', '--push', `${host}/alice.test`, '--creds', `${alice.handle}:${alice.appPassword}`, '--tls-verify', 'false') // prettier-ignore

  const others = await Containers.create(join(folder, 'others'))
  const client = new OciClient({ registryUrl: registry })
  for (const image of images) {
    const name = `${host}/alice.test/${image}:${version}`
    await others.podman('pull', '--quiet', '--tls-verify=false', name)
    const { Id } = await containers.inspect<ImageDetails>(image)
    expect((await others.inspect<ImageDetails>(name)).Id).toBe(Id)

    const repository = `/v2/alice.test/${image}`
    const accept = 'application/vnd.docker.distribution.manifest.v2+json'
    const manifest = await client.request('HEAD', `${repository}/manifests/${version}`, {
      headers: { accept },
    })
    const digest = manifest.headers.get('docker-content-digest') ?? ''
    const referrers = (await (await client.request('GET', `${repository}/referrers/${digest}`)).json()) as { manifests: { digest: string; artifactType: string }[] } // prettier-ignore
    expect(referrers.manifests.map((it) => it.artifactType)).toEqual(['application/vnd.cyclonedx+json'])
    const artifact = await (await client.request('GET', `${repository}/manifests/${referrers.manifests[0]?.digest}`)).json() as { layers: { digest: string }[] } // prettier-ignore
    const blob = await client.request('GET', `${repository}/blobs/${artifact.layers[0]?.digest}`, { redirect: 'follow' }) // prettier-ignore
    const sbom = (await blob.json()) as { bomFormat: string; components: { name: string; purl: string }[] }
    expect(sbom.bomFormat).toBe('CycloneDX')
    expect(sbom.components.map((it) => it.name)).toEqual(expect.arrayContaining(['node', 'libc6', 'tzdata', 'hono', 'kysely'])) // prettier-ignore
    // What only builds and tests need is not in an image, and so not on its list.
    expect(sbom.components.map((it) => it.name)).not.toContain('rolldown')
    const page = await (await fetch(`${registry}/r/alice.test/${image}/manifests/${digest}`)).text()
    expect(page).toContain('Signatures, SBOMs, attestations')
  }

  // What the bundle loads by path when it runs: style sheets, fonts and WebAssembly, the worker for Markdown and its languages.
  const first = await (await fetch(registry)).text()
  const sheet = /href="(\/assets\/atcr-[^"]+\.css)"/.exec(first)?.[1] ?? ''
  expect(await (await fetch(`${registry}${sheet}`)).text()).toContain('--')
  const card = await fetch(`${registry}/card.png`)
  expect(
    Buffer.from(await card.arrayBuffer())
      .subarray(1, 4)
      .toString(),
  ).toBe('PNG')
  expect(await (await fetch(`${registry}/install.sh`)).text()).toContain(registry)
  await writePage(pds.url, alice, 'atcr-hold', '# Of itself\n\n```js\nconst answer = 42\n```\n')
  for (let attempt = 0; ; attempt++) {
    const page = await (await fetch(`${registry}/r/alice.test/atcr-hold`)).text()
    if (page.includes('<span class="hljs-keyword">const</span>')) break
    expect(attempt, page).toBeLessThan(120)
    await sleep(500)
  }
}, 600_000)

/** As the owner of a repository writes its page. */
async function writePage(
  pdsUrl: string,
  { did, password }: { did: string; password: string },
  repository: string,
  description: string,
): Promise<void> {
  const call = async (method: string, body: object, token?: string) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    const answer = await fetch(`${pdsUrl}/xrpc/${method}`, { method: 'POST', headers, body: JSON.stringify(body) }) // prettier-ignore
    if (!answer.ok) throw new Error(`${method} answered ${answer.status}: ${await answer.text()}`)
    return (await answer.json()) as { accessJwt: string }
  }
  const { accessJwt } = await call('com.atproto.server.createSession', { identifier: did, password })
  const now = new Date().toISOString()
  const record = { $type: 'io.atcr.repo.page', repository, description, createdAt: now, updatedAt: now }
  await call('com.atproto.repo.putRecord', { repo: did, collection: 'io.atcr.repo.page', rkey: repository, record }, accessJwt) // prettier-ignore
}
