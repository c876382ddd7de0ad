import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { text } from 'node:stream/consumers'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { selfSignedCertificate } from '../../src/appview/services/certificate.ts'
import { HelperProgram, type HelperRun } from '../network/helper-program.ts'
import { findFreePort, listen, type Listening } from '../network/listening.ts'
import { TestNetwork } from '../network/test-network.ts'

/**
 * Goal: signing in works with a real registry, and no registry makes the program do harm. Method: the real program as a child
 * process, first with a whole network, then with a registry that plays what it is told.
 */
let helper: HelperProgram

beforeEach(async () => {
  helper = await HelperProgram.create()
})
afterEach(() => helper[Symbol.asyncDispose]())

const stored = () => helper.readJson('.atcr/credentials.json').catch(() => undefined)

describe('with an AppView', () => {
  let network: TestNetwork

  beforeAll(async () => {
    network = await TestNetwork.create()
  })
  afterAll(() => network[Symbol.asyncDispose]())

  /** Signs in; whoever sees the code says yes as alice. */
  async function logIn(words: string[], options: HelperRun = {}) {
    const { alice } = network.accounts
    let isApproved = false
    return helper.run(['login', ...words], {
      ...options,
      onOutput: (output) => {
        const code = /\b[A-Z]{4}-[A-Z]{4}\b/.exec(output)?.[0]
        if (code === undefined || isApproved) return
        isApproved = true
        void network.appview.context.deviceGrants.decide(code, 'approved', alice.did)
      },
    })
  }

  test('a code, a yes, and docker has what it needs, until the device is revoked', async () => {
    const { host } = new URL(network.appview.url)
    const { alice } = network.accounts
    const { status, stdout, stderr } = await logIn([host, '--name', 'the laptop'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain(`${network.appview.url}/device`)
    expect(stdout).toContain(`Signed in to ${host} as alice.test.`)
    expect(await helper.readJson('.docker/config.json')).toEqual({ credHelpers: { [host]: 'atcr' } })

    const { Username, Secret } = JSON.parse((await helper.run(['get'], { input: host })).stdout) as Record<
      string,
      string
    >
    expect(Username).toBe('alice.test')
    expect(stdout).not.toContain(Secret)
    const basic = Buffer.from(`${Username}:${Secret}`).toString('base64')
    const token = () =>
      fetch(`${network.appview.url}/auth/token?service=${host}`, {
        headers: { authorization: `Basic ${basic}` },
      })
    expect((await token()).status).toBe(200)

    const good = await helper.run(['status'])
    expect(good.status).toBe(0)
    expect(good.stdout).toContain('* alice.test  accepted')
    const [device] = await network.appview.context.devices.list(alice.did)
    expect(device?.name).toBe('the laptop')

    await network.appview.context.devices.revoke(alice.did, device?.id ?? '')
    const bad = await helper.run(['status'])
    expect(bad.status).toBe(1)
    expect(bad.stdout).toContain('* alice.test  refused: docker-credential-atcr login')
    expect((await helper.run(['logout'])).stdout).toContain(`${network.appview.url}/settings/devices`)
  })

  test('a registry that docker was told of need not be named; its settings stay where wanted', async () => {
    const { host } = new URL(network.appview.url)
    await helper.run(['configure-docker', host])
    const { status, stdout } = await logIn(['--no-configure'])
    expect(status).toBe(0)
    expect(stdout).not.toContain('from now on')
  })

  test('denied in the browser: nothing is stored', async () => {
    const { host } = new URL(network.appview.url)
    const { alice } = network.accounts
    const { status, stderr } = await helper.run(['login', host], {
      onOutput: (output) => {
        const code = /\b[A-Z]{4}-[A-Z]{4}\b/.exec(output)?.[0]
        if (code !== undefined) void network.appview.context.deviceGrants.decide(code, 'denied', alice.did) // prettier-ignore
      },
    })
    expect(status).toBe(1)
    expect(stderr).toBe('denied in the browser: this machine was not signed in\n')
    expect(await stored()).toBeUndefined()
  })
})

describe('with a registry that plays', () => {
  interface Played {
    status?: number
    body?: unknown
    headers?: Record<string, string>
  }
  let listening: Listening
  let registryUrl: string
  let asked: { path: string; body: string }[]
  let play: { code: Played; token: Played[] }

  const grant = (more: object = {}) => ({
    device_code: 'device-code',
    user_code: 'ABCD-EFGH',
    verification_uri: `${registryUrl}/device`,
    verification_uri_complete: `${registryUrl}/device?code=ABCD-EFGH`,
    expires_in: 600,
    interval: 1,
    ...more,
  })
  const yes = { device_secret: 'atcr_device_played', handle: 'alice.example', did: 'did:plc:alice' }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    asked.push({ path: request.url ?? '', body: await text(request) })
    const { status = 200, body = {}, headers = {} } = (request.url === '/auth/device/code' ? play.code : play.token.shift()) ?? { status: 500 } // prettier-ignore
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

  beforeEach(async () => {
    asked = []
    const server = createServer((request, response) => void answer(request, response))
    listening = await listen(server, { what: 'a registry that plays', host: '127.0.0.1', port: 0 })
    registryUrl = `http://127.0.0.1:${listening.port}`
    play = { code: { body: grant() }, token: [{ body: yes }] }
  })
  afterEach(() => listening.stop())

  const login = (options: HelperRun = {}) => helper.run(['login', registryUrl], options)

  test('a registry that falters while it is asked is asked again', async () => {
    play.token = [
      { status: 503, body: 'busy' },
      { status: 400, body: { error: 'authorization_pending' } },
      { body: yes },
    ]
    expect((await login()).status).toBe(0)
    expect(asked.map(({ path }) => path)).toEqual([
      '/auth/device/code',
      ...Array.from({ length: 3 }, () => '/auth/device/token'),
    ])
    expect(JSON.parse(asked[1]?.body ?? '')).toEqual({ device_code: 'device-code' })
  })

  test('an account without a handle goes by its DID', async () => {
    play.token = [{ body: { ...yes, handle: yes.did } }]
    expect((await login()).stdout).toContain('as did:plc:alice.')
  })

  test('Ctrl-C: exit code 130, and nothing is stored', async () => {
    play.token = Array.from({ length: 50 }, () => ({ status: 400, body: { error: 'authorization_pending' } }))
    const { status, stderr } = await login({
      onOutput: (output, interrupt) => (output.includes('Waiting') ? interrupt() : undefined),
    })
    expect(status).toBe(130)
    expect(stderr).toContain('nothing was stored')
    expect(await stored()).toBeUndefined()
  })

  test.each<[string, () => Partial<typeof play>, string]>([
    [
      'expired, says the registry',
      () => ({ token: [{ status: 400, body: { error: 'expired_token' } }] }),
      'has expired',
    ],
    ['expired, says the clock', () => ({ code: { body: grant({ expires_in: 0 }) } }), 'has expired'],
    ['denied', () => ({ token: [{ status: 400, body: { error: 'access_denied' } }] }), 'denied'],
    ['not to be, for another reason', () => ({ token: [{ status: 400, body: { error: 'access_denied', error_description: 'too many devices\u001b[2J: revoke one' } }] }), 'this machine was not signed in: too many devices [2J: revoke one'], // prettier-ignore
    ['no such route', () => ({ code: { status: 404, body: 'not found' } }), 'is it an ATCR registry?'],
    ['a page in place of JSON', () => ({ code: { body: '<html>hello</html>' } }), 'nonsense'],
    ['JSON that is no grant', () => ({ code: { body: [1, 2, 3] } }), 'nonsense'],
    ['a grant that goes to a file', () => ({ code: { body: grant({ verification_uri_complete: 'file:///etc/passwd' }) } }), 'nonsense'], // prettier-ignore
    ['a grant that goes to a script', () => ({ code: { body: grant({ verification_uri: 'javascript:alert(1)' }) } }), 'nonsense'], // prettier-ignore
    ['a grant that goes on a stranger’s plain HTTP', () => ({ code: { body: grant({ verification_uri: 'http://evil.example/device' }) } }), 'nonsense'], // prettier-ignore
    ['an interval that is none', () => ({ code: { body: grant({ interval: 'soon' }) } }), 'nonsense'],
    ['far too much', () => ({ code: { body: `"${'x'.repeat(200_000)}"` } }), 'too long'],
    ['a redirect', () => ({ code: { status: 302, headers: { location: 'https://evil.example/' } } }), 'sends elsewhere, to https://evil.example/'], // prettier-ignore
    ['trouble', () => ({ code: { status: 500, body: 'oops' } }), 'has trouble (500)'],
    ['too many', () => ({ code: { status: 429, body: { error: 'slow_down', error_description: 'wait' } } }), 'asked too often: wait'], // prettier-ignore
    ['a yes without a secret', () => ({ token: [{ body: { ...yes, device_secret: undefined } }] }), 'nothing to sign in with'], // prettier-ignore
    ['a secret with a line break', () => ({ token: [{ body: { ...yes, device_secret: 'a\nb' } }] }), 'nothing to sign in with'], // prettier-ignore
    [
      'a name that is none',
      () => ({ token: [{ body: { ...yes, handle: '../../x' } }] }),
      'nothing to sign in with',
    ],
    ['a redirect of the answer', () => ({ token: [{ status: 307, headers: { location: '/elsewhere' } }] }), 'sends elsewhere'], // prettier-ignore
  ])('%s: it ends, says why, and stores nothing', async (_, change, message) => {
    play = { ...play, ...change() }
    const { status, stderr } = await login()
    expect(stderr).toContain(message)
    expect(status).toBe(1)
    expect(await stored()).toBeUndefined()
  })

  test('over HTTPS a certificate nobody vouches for is refused; NODE_EXTRA_CA_CERTS can vouch for it', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const cert = selfSignedCertificate(privateKey, {
      commonName: 'localhost',
      notBefore: new Date(),
      days: 2,
    })
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
    const server = createSecureServer({ key, cert }, (request, response) => void answer(request, response))
    const secure = await listen(server, { what: 'the same over HTTPS', host: 'localhost', port: 0 })
    try {
      registryUrl = `https://localhost:${secure.port}`
      play.code = { body: grant() }
      const refused = await login()
      expect(refused.status).toBe(1)
      expect(refused.stderr).toMatch(/does not answer: .*certificate/)
      expect(asked).toEqual([])
      await writeFile(join(helper.home, 'ca.pem'), cert)
      // Debian's `ssl-cert` has the system trust a certificate for the same name, which may be tried in place of this one.
      const systemTrustsNobody = { SSL_CERT_FILE: '/dev/null', SSL_CERT_DIR: helper.home }
      const trusted = await login({ environment: { NODE_EXTRA_CA_CERTS: join(helper.home, 'ca.pem'), ...systemTrustsNobody } }) // prettier-ignore
      expect({ status: trusted.status, stderr: trusted.stderr }).toEqual({ status: 0, stderr: '' })
    } finally {
      await secure.stop()
    }
  })

  test('what a registry says cannot drive the terminal', async () => {
    play.code = { body: grant({ user_code: '\u001b[2J\u0007ABCD' }) }
    const { stdout } = await login()
    expect(stdout).toContain('ABCD')
    for (const character of ['\u001b', '\u0007']) expect(stdout).not.toContain(character)
  })

  test('a browser is opened where there is a screen, and is not where it is not wanted', async () => {
    const bin = join(helper.home, 'bin')
    await mkdir(bin)
    await writeFile(join(bin, 'xdg-open'), `#!/bin/sh\necho "$@" >"${helper.home}/opened"\n`)
    await chmod(join(bin, 'xdg-open'), 0o755)
    const environment = { DISPLAY: ':99', PATH: `${bin}:${process.env['PATH']}` }
    const { stdout } = await login({ environment })
    expect(stdout).toContain('Your browser opens.')
    await expect.poll(() => helper.readText('opened')).toBe(`${registryUrl}/device?code=ABCD-EFGH\n`)
    play = { code: { body: grant() }, token: [{ body: yes }] }
    const without = await helper.run(['login', registryUrl, '--no-browser'], { environment })
    expect(without.stdout).toContain('On any device, go to:')
    expect(without.stdout).toContain('enter the code  ABCD-EFGH')
  })

  test('get asks no registry, and opens nothing, whatever it has', async () => {
    await login()
    asked = []
    const { status, stdout } = await helper.run(['get'], {
      input: registryUrl,
      environment: { DISPLAY: ':99' },
    })
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ Username: 'alice.example', Secret: 'atcr_device_played' })
    expect(asked).toEqual([])
  })

  test("docker's settings that are none: signed in all the same, and told", async () => {
    await mkdir(join(helper.home, '.docker'))
    await writeFile(join(helper.home, '.docker/config.json'), '{')
    const { status, stderr } = await login()
    expect(status).toBe(0)
    expect(stderr).toContain('it was not touched')
    expect(await helper.readText('.docker/config.json')).toBe('{')
  })

  test('status of a registry that plays tricks: refused, trouble, elsewhere', async () => {
    await login()
    for (const [played, message] of [
      [{ status: 401 }, 'refused'],
      [{ status: 500 }, 'has trouble'],
      [{ status: 302, headers: { location: 'https://evil.example/' } }, 'sends elsewhere'],
    ] as const) {
      play.token = [played]
      const { status, stdout } = await helper.run(['status'])
      expect(status).toBe(1)
      expect(stdout).toContain(message)
    }
  })
})

test('plain HTTP to another machine is refused before anything is sent', async () => {
  const { status, stderr } = await helper.run(['login', 'http://registry.example'])
  expect(status).toBe(1)
  expect(stderr).toContain('use https://')
})

test('a registry that is not there', async () => {
  const { status, stderr } = await helper.run(['login', `127.0.0.1:${await findFreePort()}`])
  expect(status).toBe(1)
  expect(stderr).toMatch(/^127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/)
})
