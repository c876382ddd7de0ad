import { spawnSync } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { readdirSync } from 'node:fs'
import { get, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { appViewConfig } from '../../src/appview/config.ts'
import { selfSignedCertificate } from '../../src/appview/services/certificate.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import { executableFileName } from '../../src/credential-helper/executable.ts'
import { setLogLevel } from '../../src/lib/log.ts'
import { run } from '../e2e/command.ts'
import { findFreePort, listen } from '../network/listening.ts'

/**
 * Goal: one line installs the helper, and never anything but what was built. Method: the script as an AppView serves it,
 * run by the system's own shells, with a stand-in for the program, which is 150 MB; `test/e2e` has the real one.
 */
const program = executableFileName(process.platform, process.arch)
const standIn = '#!/bin/sh\necho "docker-credential-atcr stand-in $*"\n'

let folder: string
let home: string
let appview: RunningAppView

async function start(settings: { folder?: string; download_base?: string }): Promise<RunningAppView> {
  const port = await findFreePort()
  return startAppView(
    appViewConfig({
      log_level: 'silent',
      server: {
        addr: `127.0.0.1:${port}`,
        base_url: `http://127.0.0.1:${port}`,
        default_hold_did: 'did:web:localhost',
        data_folder: join(folder, `data-${port}`),
        test_mode: true,
      },
      jetstream: { urls: [] },
      credential_helper: settings,
    }),
  )
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')
const packed = gzipSync(standIn)

async function writeBuilds(name: string, content: Uint8Array = packed): Promise<string> {
  const builds = join(folder, name)
  await mkdir(builds, { recursive: true })
  await writeFile(join(builds, program), standIn)
  await writeFile(join(builds, `${program}.gz`), content)
  await writeFile(join(builds, 'notes.txt'), 'not for anyone')
  await writeFile(
    join(builds, 'SHA256SUMS'),
    `${sha256(standIn)}  ${program}\n${sha256(packed)}  ${program}.gz\n`,
  )
  return builds
}

beforeAll(async () => {
  setLogLevel('silent')
  folder = await mkdtemp(join(tmpdir(), 'atcr-install-'))
  appview = await start({ folder: await writeBuilds('builds') })
})
afterAll(async () => {
  await appview[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  home = await mkdtemp(join(folder, 'home-'))
})
afterEach(() => rm(home, { recursive: true }))

/** Fetches the script and runs it, as `curl … | sh` would. */
async function install(from: RunningAppView, shell: string, environment: Record<string, string> = {}) {
  const script = join(home, 'install.sh')
  await writeFile(script, await (await fetch(`${from.url}/install.sh`)).text())
  return run(shell, [script], { HOME: home, ATCR_INSTALL_DIR: join(home, 'bin'), ...environment })
}
/** A PATH with everything of this machine but these. */
async function toolsWithout(...missing: string[]): Promise<string> {
  const bin = join(home, 'tools')
  await mkdir(bin)
  for (const folder of ['/bin', '/usr/bin'])
    for (const name of await readdir(folder))
      if (!missing.includes(name)) await symlink(join(folder, name), join(bin, name)).catch(() => undefined)
  return bin
}

/** Follows redirects, and has no option against it. */
const busyboxWget =
  '#!/bin/sh\n[ "$1" = --help ] || exec /usr/bin/wget "$@"\necho "Usage: wget [-cqS] [-O FILE] URL"\n'

async function startHttps(answer: RequestListener): Promise<AsyncDisposable & { url: string }> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const cert = selfSignedCertificate(privateKey, { commonName: 'localhost', notBefore: new Date(), days: 2 })
  const server = createServer({ key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert }, answer)
  const door = await listen(server, { what: 'downloads', host: '127.0.0.1', port: 0 })
  return { url: `https://127.0.0.1:${door.port}`, [Symbol.asyncDispose]: () => door.stop() }
}
const installed = () => readdir(join(home, 'bin')).catch(() => [])

describe('install.sh', () => {
  test.each(['dash', 'bash'])('%s: verifies, installs, and says what to do next', async (shell) => {
    const { status, stdout, stderr } = await install(appview, shell)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain(`docker-credential-atcr login ${appview.url}`)
    expect(stdout).toContain('is not in your PATH')
    expect(await installed()).toEqual(['docker-credential-atcr'])
    const path = join(home, 'bin/docker-credential-atcr')
    expect(await readFile(path, 'utf8')).toBe(standIn)
    expect((await stat(path)).mode & 0o777).toBe(0o755)
  })

  test('again over what is there; and no word on PATH where it is right', async () => {
    await install(appview, 'dash')
    await writeFile(join(home, 'bin/docker-credential-atcr'), 'older')
    const { status, stdout } = await install(appview, 'dash', {
      PATH: `${process.env['PATH']}:${join(home, 'bin')}`,
    })
    expect(status).toBe(0)
    expect(stdout).not.toContain('is not in your PATH')
    expect(await readFile(join(home, 'bin/docker-credential-atcr'), 'utf8')).toBe(standIn)
  })

  test('works with wget alone', async () => {
    const { status, stderr } = await install(appview, '/bin/dash', { PATH: await toolsWithout('curl') })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(await installed()).toEqual(['docker-credential-atcr'])
  })

  test.each([
    ['with curl', [], '', ['docker-credential-atcr']],
    ['with wget alone', ['curl'], '', ['docker-credential-atcr']],
    ['with curl, led to plain HTTP', [], 'could not be downloaded', []],
    ['with wget, led to plain HTTP', ['curl'], 'then curl is needed', []],
    ['with a wget that goes wherever it is led', ['curl', 'wget'], 'curl is needed: this wget', []],
  ])('over HTTPS %s', async (what, missing, message, expected) => {
    await using door = await startHttps((request, response) => {
      if (what.includes('led')) response.writeHead(302, { location: `${appview.url}${request.url}` }).end()
      else response.end(packed)
    })
    await using from = await start({ folder: join(folder, 'builds'), download_base: `${door.url}/install` })
    const tools = await toolsWithout(...missing)
    if (missing.includes('wget')) await writeFile(join(tools, 'wget'), busyboxWget, { mode: 0o755 })
    await writeFile(join(home, '.wgetrc'), 'check_certificate = off\n')
    await writeFile(join(home, '.curlrc'), 'insecure\n')
    const { stderr } = await install(from, '/bin/dash', { PATH: tools })
    expect(stderr).toContain(message)
    expect(await installed()).toEqual(expected)
  })

  test('a wrong checksum: nothing is installed, and both are named', async () => {
    await using damaged = await start({
      folder: await writeBuilds('damaged', gzipSync('#!/bin/sh\necho evil\n')),
    })
    const { status, stderr } = await install(damaged, 'dash')
    expect(status).toBe(1)
    expect(stderr).toContain('is wrong; nothing was installed')
    expect(stderr).toContain(sha256(packed))
    expect(await installed()).toEqual([])
  })

  test('a build that is listed and gone: nothing is installed', async () => {
    const builds = await writeBuilds('gone')
    await rm(join(builds, `${program}.gz`))
    await using gone = await start({ folder: builds })
    const { status, stderr } = await install(gone, 'dash')
    expect(status).toBe(1)
    expect(stderr).toContain('could not be downloaded; nothing was installed')
    expect(await installed()).toEqual([])
  })

  test('no builds at all: the script says so', async () => {
    await using empty = await start({ folder: join(folder, 'nothing-here') })
    const { status, stderr } = await install(empty, 'dash')
    expect(status).toBe(1)
    expect(stderr).toContain(`${empty.url} offers no builds of the credential helper`)
    expect((await fetch(`${empty.url}/install/SHA256SUMS`)).status).toBe(404)
  })

  test('none for this machine: it says which there are', async () => {
    const builds = await writeBuilds('others')
    await writeFile(join(builds, 'SHA256SUMS'), `${sha256('x')}  docker-credential-atcr-plan9-mips.gz\n`)
    await using others = await start({ folder: builds })
    const { status, stderr } = await install(others, 'dash')
    expect(status).toBe(1)
    expect(stderr).toContain('docker-credential-atcr-plan9-mips.gz')
  })

  test('a program that does not run here is not installed', async () => {
    const broken = gzipSync('#!/bin/sh\nexit 3\n')
    const builds = await writeBuilds('broken', broken)
    await writeFile(join(builds, 'SHA256SUMS'), `${sha256(broken)}  ${program}.gz\n`)
    await using from = await start({ folder: builds })
    const { status, stderr } = await install(from, 'dash')
    expect(status).toBe(1)
    expect(stderr).toContain('does not run here')
    expect(await installed()).toEqual([])
  })

  test('half a script does nothing', async () => {
    const script = await (await fetch(`${appview.url}/install.sh`)).text()
    await writeFile(join(home, 'half.sh'), script.slice(0, script.lastIndexOf('main "$@"')))
    const { stdout } = await run('dash', [join(home, 'half.sh')], {
      HOME: home,
      ATCR_INSTALL_DIR: join(home, 'bin'),
    })
    expect(stdout).toBe('')
    expect(await installed()).toEqual([])
  })
})

describe('builds kept elsewhere', () => {
  test('with the checksums here, what is downloaded there is verified by them', async () => {
    const sumsOnly = await writeBuilds('sums-only')
    await rm(join(sumsOnly, `${program}.gz`))
    await using here = await start({ folder: sumsOnly, download_base: `${appview.url}/install/` })
    expect((await install(here, 'dash')).status).toBe(0)
    expect(await installed()).toEqual(['docker-credential-atcr'])
    const redirected = await fetch(`${here.url}/install/${program}.gz`, { redirect: 'manual' })
    expect([redirected.status, redirected.headers.get('location')]).toEqual([
      302,
      `${appview.url}/install/${program}.gz`,
    ])
  })

  test('without any here, the list there is taken', async () => {
    await using here = await start({
      folder: join(folder, 'nothing-here'),
      download_base: `${appview.url}/install`,
    })
    expect((await install(here, 'dash')).status).toBe(0)
    expect(await installed()).toEqual(['docker-credential-atcr'])
    expect(await (await fetch(`${here.url}/install/SHA256SUMS`)).text()).toContain(`${program}.gz`)
  })

  test('an address with a quote in it stays an address', async () => {
    await using odd = await start({ folder: join(folder, 'builds'), download_base: `http://127.0.0.1:1/it's;touch ${home}/x;'` }) // prettier-ignore
    const { status } = await install(odd, 'dash')
    expect(status).toBe(1)
    expect(await readdir(home)).toEqual(['install.sh'])
    expect(await (await fetch(`${odd.url}/install.ps1`)).text()).toContain("it''s;touch")
  })
})

describe('/install/<file>', () => {
  test('has its length, its type and its checksum as ETag; HEAD and If-None-Match send nothing', async () => {
    const url = `${appview.url}/install/${program}.gz`
    const whole = await fetch(url)
    expect(Buffer.from(await whole.arrayBuffer())).toEqual(packed)
    const headers = {
      'content-length': String(packed.length),
      'content-type': 'application/gzip',
      etag: `"${sha256(packed)}"`,
    }
    expect(Object.fromEntries(whole.headers)).toMatchObject(headers)
    const head = await fetch(url, { method: 'HEAD' })
    expect(Object.fromEntries(head.headers)).toMatchObject(headers)
    const same = await fetch(url, { headers: { 'if-none-match': `W/"x", "${sha256(packed)}"` } })
    expect([same.status, (await same.arrayBuffer()).byteLength]).toEqual([304, 0])
  })

  test.each([
    'notes.txt',
    '..%2fbuilds%2fnotes.txt',
    '%2e%2e/notes.txt',
    'docker-credential-atcr-none',
    'SHA256SUMS%00',
  ])('%s is not given out', async (name) => {
    const response = await fetch(`${appview.url}/install/${name}`)
    expect(response.status).toBe(404)
    expect(await response.text()).not.toContain('not for anyone')
  })

  test('clients that go away leave no file open, and what they did not take is not read', async () => {
    const large = await writeBuilds('large')
    const size = 64 * 1024 * 1024
    await truncate(join(large, `${program}.gz`), size)
    await chmod(join(large, `${program}.gz`), 0o644)
    await using from = await start({ folder: large })
    const open = () => readdirSync('/proc/self/fd').length
    const beforeCount = open()
    const held = () => process.memoryUsage().arrayBuffers
    const beforeBytes = held()
    for (let round = 0; round < 30; round++) {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        get(`${from.url}/install/${program}.gz`, { agent: false }, resolve).once('error', reject)
      })
      expect(response.headers['content-length']).toBe(String(size))
      await new Promise((resolve) => response.once('readable', resolve))
      // It comes in pieces: not even one file is in memory, of thirty.
      expect(held() - beforeBytes).toBeLessThan(size / 2)
      response.destroy()
    }
    await expect.poll(open, { timeout: 20_000 }).toBeLessThanOrEqual(beforeCount + 3)
  })
})

test('the scripts hold together', async () => {
  const sh = await (await fetch(`${appview.url}/install.sh`)).text()
  const ps1 = await (await fetch(`${appview.url}/install.ps1`)).text()
  for (const script of [sh, ps1]) {
    expect(script).toContain(`'${appview.url}'`)
    expect(script).toContain(sha256(packed))
    expect(script).not.toMatch(/@[A-Z]+@/)
  }
  expect(spawnSync('dash', ['-n'], { input: sh }).status).toBe(0)
})
