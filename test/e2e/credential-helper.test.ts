import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { executableFileName } from '../../src/credential-helper/executable.ts'
import type { AccountName } from '../network/accounts.ts'
import { HelperProgram } from '../network/helper-program.ts'
import { TestNetwork } from '../network/test-network.ts'
import { mustRun, run } from './command.ts'
import { OciLayout, verifiedBlobs } from './oci-layout.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: whoever runs the one line of /install.sh and signs in pushes and pulls with the clients they have. Method: the
 * executable as `npm run build:helper` makes it, installed by the script, found by real clients by its name.
 */
const fileName = executableFileName(process.platform, process.arch)

let folder: string
let builds: string
let network: TestNetwork
let helper: HelperProgram
let registry: string
let environment: Record<string, string>

beforeAll(async () => {
  folder = await makeTemporaryFolder('atcr-helper-e2e')
  builds = join(folder, 'builds')
  await mustRun(process.execPath, ['scripts/build-helper.ts', '--out', builds])
  network = await TestNetwork.create({ appview: { credential_helper: { folder: builds } } })
  registry = new URL(network.appview.url).host
  helper = await HelperProgram.create([join(folder, 'bin/docker-credential-atcr')])
  environment = {
    HOME: helper.home,
    DOCKER_CONFIG: join(helper.home, '.docker'),
    PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
    XDG_RUNTIME_DIR: join(folder, 'run'),
    ATCR_INSTALL_DIR: join(folder, 'bin'),
  }
  await mkdir(environment['XDG_RUNTIME_DIR'] as string, { mode: 0o700 })
  await mustRun('sh', ['-c', `curl -fsSL ${network.appview.url}/install.sh | sh`], environment)
  for (const name of ['alice', 'bob'] as const) await logIn(name)
}, 300_000)
afterAll(async () => {
  await helper[Symbol.asyncDispose]()
  await network[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Signs in, and says yes as that account. */
async function logIn(name: AccountName): Promise<void> {
  const { did, appPassword } = network.accounts[name]
  const { context } = network.appview
  // Whoever pushes is signed in at their PDS; here by an app password.
  await context.pdsAccounts.logIn(did, appPassword, '127.0.0.1')
  let isApproved = false
  const { status, stderr } = await helper.run(['login', registry], {
    onOutput(output) {
      const code = /\b[A-Z]{4}-[A-Z]{4}\b/.exec(output)?.[0]
      if (code === undefined || isApproved) return
      isApproved = true
      void context.deviceGrants.decide(code, 'approved', did)
    },
  })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
}

const layout = (name: string) => OciLayout.create(join(folder, name))
const sha256 = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
const installed = () => join(folder, 'bin/docker-credential-atcr')

describe('clients find it by credHelpers', () => {
  test('skopeo pushes as whoever the image belongs to, and pulls', async () => {
    const source = await layout('skopeo')
    await source.addImage('v1', [3000, 50_000])
    for (const owner of ['alice.test', 'bob.test']) {
      await mustRun('skopeo', ['copy', '--dest-tls-verify=false', `oci:${source.path}:v1`, `docker://${registry}/${owner}/skopeo:v1`], environment) // prettier-ignore
      const target = join(folder, `pulled-${owner}`)
      await mustRun('skopeo', ['copy', '--src-tls-verify=false', `docker://${registry}/${owner}/skopeo:v1`, `oci:${target}:out`], environment) // prettier-ignore
      expect(await verifiedBlobs(target)).toEqual(await verifiedBlobs(source.path))
    }
  })

  test.each(['podman', 'buildah'])(
    '%s pushes as whoever the image belongs to, and pulls',
    async (program) => {
      const source = await layout(program)
      await source.addImage('v1', [3000, 50_000])
      const storage = ['--root', join(folder, `${program}-root`), '--runroot', join(folder, `${program}-run`), '--storage-driver', 'vfs'] // prettier-ignore
      const call = (...args: string[]) => mustRun(program, [...storage, ...args], environment)
      const id = (await call('pull', '-q', `oci:${source.path}:v1`)).trim()
      for (const owner of ['alice.test', 'bob.test']) {
        await call('push', '-q', '--tls-verify=false', id, `docker://${registry}/${owner}/${program}:v1`)
        await call('rmi', '--all', '--force')
        expect(
          (await call('pull', '-q', '--tls-verify=false', `${registry}/${owner}/${program}:v1`)).trim(),
        ).toBe(id)
      }
    },
  )

  test('without it the same push is refused: it was the helper that opened the door', async () => {
    const source = await layout('nobody')
    await source.addImage('v1', [3000])
    const nobody = { ...environment, HOME: folder, DOCKER_CONFIG: join(folder, 'no-config') }
    const { status, stderr } = await run('skopeo', ['copy', '--dest-tls-verify=false', `oci:${source.path}:v1`, `docker://${registry}/alice.test/nobody:v1`], nobody) // prettier-ignore
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/authentication required|unauthorized/i)
  })
})

describe('one executable', () => {
  test('NODE_OPTIONS, which is meant for others, does not keep it from working', async () => {
    const { status, stdout } = await helper.run(['version'], { environment: { NODE_OPTIONS: '--require /nonexistent' } }) // prettier-ignore
    expect(status).toBe(0)
    expect(stdout).toMatch(/^docker-credential-atcr \d/)
  })

  test('update: nothing to do, then another one is verified and put in place', async () => {
    const same = await helper.run(['update', registry])
    expect(same).toEqual({ status: 0, stdout: `This is what ${registry} offers.\n`, stderr: '' })
    await appendFile(installed(), 'older')
    expect((await helper.run(['update', '--check'])).status).toBe(1)
    const { status, stderr } = await helper.run(['update'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(await sha256(installed())).toBe(await sha256(join(builds, fileName)))
    expect((await helper.run(['version'])).status).toBe(0)
  })

  test('update: a wrong checksum changes nothing', async () => {
    const before = await sha256(installed())
    const sums = await readFile(join(builds, 'SHA256SUMS'), 'utf8')
    await writeFile(join(builds, 'SHA256SUMS'), sums.replaceAll(/^[0-9a-f]{64}/gm, 'f'.repeat(64)))
    try {
      const { status, stderr } = await helper.run(['update'])
      expect(status).toBe(1)
      expect(stderr).toContain('is wrong; nothing was changed')
    } finally {
      await writeFile(join(builds, 'SHA256SUMS'), sums)
    }
    expect(await sha256(installed())).toBe(before)
  })

  test('update: no build for this machine, and a registry without builds', async () => {
    const sums = await readFile(join(builds, 'SHA256SUMS'), 'utf8')
    for (const [text, message] of [
      [sums.replaceAll(fileName, 'docker-credential-atcr-plan9-mips'), 'offers no docker-credential-atcr'],
      ['', 'SHA256SUMS answered 404'],
    ] as const) {
      await writeFile(join(builds, 'SHA256SUMS'), text)
      const { status, stderr } = await helper.run(['update'])
      expect(status).toBe(1)
      expect(stderr).toContain(message)
    }
    await writeFile(join(builds, 'SHA256SUMS'), sums)
  })
})

describe('the keyring of the system', () => {
  /** A session with a keyring of its own, unlocked; `$HELPER` is the program. */
  async function inSession(script: string) {
    const home = join(folder, 'keyring-home')
    await mkdir(home, { recursive: true })
    const whole = `
      set -eu
      eval "$(printf password | gnome-keyring-daemon --unlock --components=secrets)"
      ${script}`
    return run('dbus-run-session', ['--', 'sh', '-c', whole], {
      ...environment,
      HOME: home,
      HELPER: installed(),
    })
  }
  const store = (name: string, secret: string) =>
    `printf '{"ServerURL":"registry.example","Username":"${name}","Secret":"${secret}"}' | "$HELPER" store`

  test('secrets of two accounts are there and not in the file; logging out removes them', async () => {
    const { status, stdout, stderr } = await inSession(`
      ${store('alice.example', 'secret-a')}
      ${store('bob.example', 'secret-b')}
      if grep -r secret- "$HOME/.atcr"; then echo in the file; fi
      printf registry.example | "$HELPER" get; echo
      printf registry.example | ATCR_ACCOUNT=alice.example "$HELPER" get; echo
      "$HELPER" status --offline
      docker-credential-secretservice list; echo
      "$HELPER" logout --handle bob.example >&2
      docker-credential-secretservice list; echo
      printf registry.example | "$HELPER" get; echo
      printf registry.example | "$HELPER" erase
      docker-credential-secretservice list`)
    expect(status, stderr).toBe(0)
    const lines = stdout.split('\n').filter((line) => line !== '')
    const [bob, alice, , first, second, both, one, left, none] = lines
    expect(JSON.parse(bob ?? '')).toEqual({
      ServerURL: 'registry.example',
      Username: 'bob.example',
      Secret: 'secret-b',
    })
    expect(JSON.parse(alice ?? '')).toMatchObject({ Username: 'alice.example', Secret: 'secret-a' })
    expect([first, second].join()).toMatch(/keyring secretservice.*keyring secretservice/)
    expect(JSON.parse(both ?? '')).toEqual({
      'https://docker-credential-atcr/registry.example/alice.example': 'alice.example',
      'https://docker-credential-atcr/registry.example/bob.example': 'bob.example',
    })
    expect(Object.values(JSON.parse(one ?? '') as object)).toEqual(['alice.example'])
    expect(JSON.parse(left ?? '')).toMatchObject({ Username: 'alice.example', Secret: 'secret-a' })
    expect(JSON.parse(none ?? '')).toEqual({})
  })

  test('where it does not work, the file is used, and that is said', async () => {
    const input = '{"ServerURL":"registry.example","Username":"alice.example","Secret":"secret-a"}'
    const fresh = await HelperProgram.create([installed()])
    await using _ = fresh
    for (const [keyring, message] of [
      ['nonexistent', 'docker-credential-nonexistent is not installed'],
      ['secretservice', 'the keyring secretservice says: '],
    ] as const) {
      const { status, stderr } = await fresh.run(['store'], { input, environment: { ATCR_KEYRING: keyring } })
      expect(status).toBe(0)
      expect(stderr).toContain(message)
      expect(stderr).toContain('the secret goes to a file that only you can read instead')
    }
    expect((await fresh.run(['get'], { input: 'registry.example' })).stdout).toContain('secret-a')
  })

  test('one that is gone later: get says so and ends', async () => {
    const fresh = await HelperProgram.create([installed()])
    await using _ = fresh
    await mkdir(join(fresh.home, '.atcr'), { mode: 0o700 })
    const account = { name: 'alice.example', keyring: 'nonexistent' }
    const file = { version: 1, registries: { 'registry.example': { origin: 'https://registry.example', active: 'alice.example', accounts: [account] } } } // prettier-ignore
    await writeFile(join(fresh.home, '.atcr/credentials.json'), JSON.stringify(file), { mode: 0o600 })
    const { status, stdout } = await fresh.run(['get'], { input: 'registry.example' })
    expect([status, stdout]).toEqual([1, 'docker-credential-nonexistent is not installed\n'])
  })
})

test('the program carries no secret of whoever built it, and no path', () => {
  const { stdout } = spawnSync('grep', ['-c', '-a', join(process.cwd(), 'src/credential-helper'), join(builds, fileName)], { encoding: 'utf8' }) // prettier-ignore
  expect(stdout.trim()).toBe('0')
})
