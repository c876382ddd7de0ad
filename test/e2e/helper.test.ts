import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { executableFileName } from '../../src/credential-helper/executable.ts'
import { createAccount, type Account } from '../network/accounts.ts'
import { HelperProgram, type HelperResult } from '../network/helper-program.ts'
import { TestNetwork } from '../network/test-network.ts'
import { launchChromium, openPage } from './browser.ts'
import type { Client, LocalImage } from './clients/client.ts'
import { docker } from './clients/docker.ts'
import { buildah, podman } from './clients/libpod.ts'
import { skopeo } from './clients/skopeo.ts'
import { mustRun, run } from './command.ts'
import { OciLayout } from './oci-layout.ts'
import { heading, signInAs } from './people.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

/**
 * Goal: a person signs a machine in once, and their clients push and pull from then on, each image as its owner, until the
 * person takes it back. Method: the helper as it is given out, one executable on the PATH; a browser; the real clients.
 */
const tag = '1.0'
const sources = [podman, buildah, skopeo, docker]
const refused = /unauthorized|denied|authentication|401/i

let folder: string
let network: TestNetwork
let browser: Browser
let helper: HelperProgram
/** The person's own browser: where they signed in once they are. */
let aliceBrowser: Awaited<ReturnType<typeof openPage>>
let bobBrowser: Awaited<ReturnType<typeof openPage>>
let registry: string
/** The same machine by another name is another registry for every client. */
let otherRegistry: string
let image: LocalImage
const before = { PATH: process.env['PATH'], HOME: process.env['HOME'] }

beforeAll(async () => {
  folder = await makeTemporaryFolder('atcr-helper')
  const [program, created] = await Promise.all([buildHelper(), TestNetwork.create()])
  network = created
  registry = new URL(network.appview.url).host
  otherRegistry = registry.replace('127.0.0.1', 'localhost')
  helper = await HelperProgram.create([program])
  // Clients look for the helper on their PATH, and it looks for its file in the home folder.
  process.env['PATH'] = `${join(folder, 'bin')}:${before.PATH}`
  process.env['HOME'] = helper.home
  image = await makeImage('image')
  browser = await launchChromium()
  aliceBrowser = await openPage(browser)
  bobBrowser = await openPage(browser)
}, 300_000)
afterAll(async () => {
  Object.assign(process.env, before)
  await browser?.close()
  await helper?.[Symbol.asyncDispose]()
  await network?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function buildHelper(): Promise<string> {
  const bin = join(folder, 'bin')
  await mustRun(process.execPath, ['scripts/build-helper.ts', '--no-gzip', '--out', bin])
  const program = join(bin, 'docker-credential-atcr')
  await rename(join(bin, executableFileName(process.platform, process.arch)), program)
  return program
}

async function makeImage(name: string): Promise<LocalImage> {
  const layout = await OciLayout.create(join(folder, name))
  return { layoutPath: layout.path, tag, descriptor: await layout.addImage(tag, [3000, 70_000]) }
}

/** The helper signs in to `host`; the person opens what it shows, signs in if need be, and says yes. */
async function logIn(host: string, account: Account, { page }: { page: Page }): Promise<HelperResult> {
  let decided: Promise<void> | undefined
  const result = await helper.run(['login', '--no-browser', '--name', 'my machine', host], {
    onOutput(output) {
      const address = /open {2}(\S+)/.exec(output)?.[1]
      if (address !== undefined) decided ??= approve(page, address, account)
    },
  })
  await decided
  return result
}

async function approve(page: Page, address: string, account: Account): Promise<void> {
  await page.goto(address)
  if ((await heading(page)) === 'Sign in') await signInAs(page, account)
  expect(await page.locator('main').innerText()).toContain(`push and pull images as ${account.handle}`)
  await page.getByRole('button', { name: 'Approve' }).click()
  await page.getByText('Return to your terminal').waitFor()
}

/** A client that asks the helper for both registries. */
async function startClient(source: (typeof sources)[number]): Promise<Client> {
  const own = join(folder, source.name.replace(' ', '-').toLowerCase())
  await mkdir(own)
  const client = await source.start({ registry, folder: own })
  const config = JSON.stringify({ credHelpers: { [registry]: 'atcr', [otherRegistry]: 'atcr' } })
  await writeFile(join(own, source === docker ? 'config/config.json' : 'auth.json'), config)
  return client
}

const authFile = () => join(folder, 'skopeo-auth.json')
const skopeoRun = (...args: string[]) => run('skopeo', args, { REGISTRY_AUTH_FILE: authFile() })
const skopeoPush = (host: string, reference: string) =>
  skopeoRun('copy', '--dest-tls-verify=false', `oci:${image.layoutPath}:${tag}`, `docker://${host}/${reference}`) // prettier-ignore
/** Whom a client takes the helper to mean when the image does not say whose it is. */
const whoIsActive = async (host: string) => (await skopeoRun('login', '--get-login', host)).stdout.trim()

test('two people sign in on one machine, at two registries', async () => {
  const { alice, bob } = network.accounts
  const results = await Promise.all([
    logIn(registry, alice, aliceBrowser),
    logIn(otherRegistry, bob, bobBrowser),
  ])
  const last = await logIn(registry, bob, bobBrowser)
  for (const { status, stderr } of [...results, last])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(last.stdout).toContain(`Signed in to ${registry} as bob.test.`)
  expect([...aliceBrowser.problems, ...bobBrowser.problems]).toEqual([])
  const config = await helper.readJson('.docker/config.json')
  expect(config).toEqual({ credHelpers: { [registry]: 'atcr', [otherRegistry]: 'atcr' } })
  await writeFile(authFile(), JSON.stringify(config))
})

describe.each(sources)('$name', (source) => {
  const obstacle = source.findObstacle()
  if (obstacle !== undefined) {
    test(`cannot be had: ${obstacle}`, ({ skip }) => skip(obstacle))
    return
  }

  test('pushes and pulls as the owner of each image', async () => {
    await using client = await startClient(source)
    const name = source.name.toLowerCase().replace(' ', '-')
    for (const owner of ['alice.test', 'bob.test']) {
      const own = await makeImage(`${name}-${owner}`)
      network.calls.reset()
      await client.push(own, `${owner}/${name}:${tag}`)
      await client.pull(`${owner}/${name}:${tag}`)
      expect(accountsAsked()).toEqual(new Set([owner]))
    }
  })
})

test('switch changes who is meant where the image does not tell', async () => {
  expect(await whoIsActive(registry)).toBe('bob.test')
  expect((await helper.run(['switch', '--registry', registry])).stdout).toBe(`alice.test is active at ${registry}.\n`) // prettier-ignore
  expect(await whoIsActive(registry)).toBe('alice.test')
  expect(await whoIsActive(otherRegistry)).toBe('bob.test')
  await createAccount(network.pds.url, 'carol.test')
  network.calls.reset()
  await skopeoRun('inspect', '--tls-verify=false', `docker://${registry}/carol.test/app`)
  expect(accountsAsked()).toEqual(new Set(['alice.test']))
})

test('a second registry has accounts of its own', async () => {
  const pushed = await skopeoPush(otherRegistry, 'bob.test/elsewhere')
  expect(pushed).toMatchObject({ status: 0 })
  const foreign = await skopeoPush(otherRegistry, 'alice.test/elsewhere')
  expect(foreign.status).not.toBe(0)
  expect(foreign.stderr).toMatch(refused)
})

test('an access token that the PDS takes no more is renewed in the middle of a push', async () => {
  network.calls.reset()
  using fault = network.faults.add({
    kind: 'error',
    from: 'appview',
    to: 'pds',
    path: /com\.atproto\.repo\.(?:applyWrites|putRecord|createRecord|uploadBlob)/,
    status: 401,
    headers: { 'www-authenticate': 'DPoP error="invalid_token"' },
    body: '{"error":"invalid_token"}',
    times: 1,
  })
  const pushed = await skopeoPush(registry, 'alice.test/renewed')
  expect(pushed).toMatchObject({ status: 0 })
  expect(fault.count).toBe(1)
  expect(network.calls.count({ from: 'appview', to: 'pds', path: '/oauth/token' })).toBe(1)
})

test('a machine that is revoked in the settings is refused in words, and signs in again', async () => {
  const { page } = aliceBrowser
  await page.goto(`${network.appview.url}/settings/devices`)
  await page.getByRole('button', { name: 'Revoke my machine' }).click()
  await page.getByText('No device is paired.').waitFor()
  const push = await skopeoPush(registry, 'alice.test/revoked')
  expect(push.status).not.toBe(0)
  expect(push.stderr).toMatch(/revoked; log in again/)
  const { status, stdout } = await helper.run(['status'])
  expect(status).toBe(1)
  expect(stdout).toContain(`* alice.test  refused: docker-credential-atcr login ${registry}`)
  expect(stdout).toContain('bob.test  accepted')

  expect((await logIn(registry, network.accounts.alice, aliceBrowser)).status).toBe(0)
  expect(await skopeoPush(registry, 'alice.test/revoked')).toMatchObject({ status: 0 })
  expect((await helper.run(['status'])).status).toBe(0)
})

test('who signed out everywhere is told where to sign in, and goes on with the same machine', async () => {
  const { page } = bobBrowser
  await page.goto(`${network.appview.url}/settings/sign-ins`)
  await page.getByRole('button', { name: 'Sign out everywhere' }).click()
  await page.getByText('You are signed out in every browser').waitFor()
  const push = await skopeoPush(registry, 'bob.test/signed-out')
  expect(push.status).not.toBe(0)
  expect(push.stderr).toContain(`sign in again at ${network.appview.url}/auth/oauth/login`)
  await signInAs(page, network.accounts.bob)
  expect(await skopeoPush(registry, 'bob.test/signed-out')).toMatchObject({ status: 0 })
})

test('a registry that is not there is told of, and nothing is forgotten', async () => {
  await network.stopAppView()
  const { status, stdout } = await helper.run(['status'])
  expect(status).toBe(1)
  expect(stdout).toContain(`${registry} does not answer: `)
  const login = await helper.run(['login', '--no-browser', registry])
  expect(login).toMatchObject({ status: 1, stdout: '' })
  expect(login.stderr).toContain(`${registry} does not answer: `)
  await network.restartAppView()
  expect((await helper.run(['status'])).status).toBe(0)
})

describe.skipIf(docker.findObstacle() !== undefined)('docker login', () => {
  let client: Client
  let config: Record<string, string>
  const dockerRun = (...args: string[]) => run('/usr/bin/docker', args, config)

  beforeAll(async () => {
    const own = join(folder, 'docker-login')
    await mkdir(own)
    client = await docker.start({ registry, folder: own })
    config = { DOCKER_HOST: `unix://${join(own, 'docker.sock')}`, DOCKER_CONFIG: join(own, 'config') }
  }, 120_000)
  afterAll(() => client?.[Symbol.asyncDispose]())

  test('keeps a token in place of the app password: ten pushes of a CI job sign in at the PDS once', async () => {
    const { handle, appPassword } = await createAccount(network.pds.url, 'dave.test')
    const file = join(config['DOCKER_CONFIG'] ?? '', 'config.json')
    // With settings about credentials, docker keeps them in its file, whatever keyring this machine has.
    await writeFile(file, JSON.stringify({ credHelpers: { 'registry.invalid': 'atcr' } }))
    network.calls.reset()
    await client.login({ username: handle, password: appPassword })
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
      auths: { [registry]: { identitytoken: expect.stringMatching(/^atcr_refresh_/) as string } },
    })
    for (let count = 1; count <= 10; count++) {
      const words = ['copy', '--dest-tls-verify=false', `oci:${image.layoutPath}:${tag}`, `docker://${registry}/dave.test/ci:${count}`] // prettier-ignore
      await mustRun('skopeo', words, { REGISTRY_AUTH_FILE: file })
    }
    expect(signInCount()).toBe(1)
    await client.logout()
  })

  test('goes through the helper where docker asks it; docker logout forgets every account there', async () => {
    const { alice } = network.accounts
    const own = join(config['DOCKER_CONFIG'] ?? '', 'config.json')
    await writeFile(own, JSON.stringify({ credHelpers: { [registry]: 'atcr' } }))
    const { status, stdout } = await dockerRun('login', '-u', alice.handle, '-p', alice.appPassword, registry)
    expect([status, stdout]).toEqual([0, expect.stringContaining('Login Succeeded')])
    expect(await readFile(own, 'utf8')).not.toContain('auth"')
    await client.push(image, `alice.test/by-docker-login:${tag}`)
    expect((await helper.run(['status', '--offline'])).stdout).toContain('* token of docker login')

    expect((await dockerRun('logout', registry)).status).toBe(0)
    expect((await helper.run(['status', '--offline'])).stdout).not.toContain(registry)
    await expect(client.push(image, `alice.test/after-logout:${tag}`)).rejects.toThrow(refused)
    expect(await whoIsActive(otherRegistry)).toBe('bob.test')
  })
})

test.each(['podman', 'skopeo'])(
  '%s login with an app password: several pushes sign in at the PDS once',
  async (program) => {
    const { handle, appPassword } = await createAccount(network.pds.url, `ci-${program}.test`)
    const file = join(folder, `${program}-ci.json`)
    await writeFile(file, '{}')
    network.calls.reset()
    await mustRun(program, ['login', '--tls-verify=false', '-u', handle, '-p', appPassword, registry], { REGISTRY_AUTH_FILE: file }) // prettier-ignore
    for (let count = 1; count <= 3; count++) {
      const words = ['copy', '--dest-tls-verify=false', `oci:${image.layoutPath}:${tag}`, `docker://${registry}/${handle}/ci:${count}`] // prettier-ignore
      await mustRun('skopeo', words, { REGISTRY_AUTH_FILE: file })
    }
    expect(signInCount()).toBe(1)
  },
)

/** Whom registry tokens were asked for as. */
function accountsAsked(): Set<string | null> {
  const calls = network.calls.list({ to: 'appview', path: '/auth/token' })
  return new Set(calls.map(({ query }) => query.get('account')))
}

const signInCount = () => network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.server.createSession' })
