import { generateKeyPairSync } from 'node:crypto'
import dns from 'node:dns'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'

import { chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { selfSignedCertificate } from '../../src/appview/services/certificate.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { freePort } from '../integration/test-hold.ts'
import { TestNetwork } from '../network/test-network.ts'
import { chromiumLaunch } from './browser.ts'

/** A public name, as far as this process and its browser know. */
const hostname = 'hold.atcr.internal'

let network: TestNetwork
let hold: RunningHold
let door: https.Server
let folder: string
/** What the world has asked the hold for its OAuth client. */
const documentsAsked: string[] = []

beforeAll(async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const cert = selfSignedCertificate(privateKey, { commonName: hostname, notBefore: new Date(), days: 2 })
  trust(cert)
  network = await TestNetwork.create()
  folder = await mkdtemp(join(tmpdir(), 'atcr-https-'))
  const innerPort = await freePort()
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  door = https.createServer({ key, cert }, (request, response) => {
    if (request.url?.startsWith('/oauth/') === true) documentsAsked.push(request.url)
    const { headers, method, url: path } = request
    const inner = http.request({ host: '127.0.0.1', port: innerPort, path, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    request.pipe(inner)
  })
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve))
  const { port } = door.address() as AddressInfo
  hold = await startHold(
    holdConfig({
      server: { addr: `127.0.0.1:${innerPort}`, public_url: `https://${hostname}:${port}`, test_mode: true },
      registration: { owner_did: network.accounts.alice.did },
      database: {
        path: join(folder, 'hold.db'),
        plc_directory_url: network.plc.url,
        handle_resolver_url: network.pds.url,
      },
    }),
  )
})
afterAll(async () => {
  await hold[Symbol.asyncDispose]()
  door.close()
  door.closeAllConnections()
  await network[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** Makes this process, and the PDS in it, believe in the name and its certificate. */
function trust(certificate: string): void {
  tls.setDefaultCACertificates([...tls.getCACertificates('default'), certificate])
  const lookup = dns.lookup
  const ours = (host: string, ...rest: never[]) =>
    Reflect.apply(lookup, dns, [host === hostname ? '127.0.0.1' : host, ...rest])
  Object.assign(dns, { lookup: ours })
}

test('with https the hold proves by its key that it is itself, and its cookie is the host’s alone', async () => {
  await using browser = await chromium.launch({
    ...chromiumLaunch,
    args: [...chromiumLaunch.args, `--host-resolver-rules=MAP ${hostname} 127.0.0.1`],
  })
  await using context = await browser.newContext({ ignoreHTTPSErrors: true })
  const page = await context.newPage()
  await page.goto(`${hold.url}/admin/crew`)
  await page.getByLabel('Handle').fill('alice.test')
  await page.getByRole('button', { name: 'Continue' }).click()
  await page.locator('input[type=password]').fill(network.accounts.alice.password)
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.waitForURL(`${hold.url}/admin/crew`)
  expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Crew')
  expect([...new Set(documentsAsked)]).toEqual(['/oauth/client-metadata.json', '/oauth/jwks.json'])
  const { size, mode } = await stat(join(folder, 'oauth.key'))
  expect([size > 0, mode & 0o777]).toEqual([true, 0o600])
  const [cookie] = await context.cookies(hold.url)
  expect(cookie).toMatchObject({ name: '__Host-hold-admin', secure: true, httpOnly: true, path: '/', sameSite: 'Lax' }) // prettier-ignore
})
