import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { freePort } from '../integration/test-hold.ts'
import { HttpsDoor } from '../network/https-door.ts'
import { signInAtPds } from '../network/oauth-sign-in.ts'
import { TestNetwork } from '../network/test-network.ts'
import { chromiumLaunch } from './browser.ts'

/** A public name, as far as this process and its browser know. */
const hostname = 'hold.atcr.internal'

let network: TestNetwork
let hold: RunningHold
let door: HttpsDoor
let folder: string

beforeAll(async () => {
  const innerPort = await freePort()
  door = await HttpsDoor.open({ hostname, port: innerPort })
  network = await TestNetwork.create()
  folder = await mkdtemp(join(tmpdir(), 'atcr-https-'))
  hold = await startHold(
    holdConfig({
      server: { addr: `127.0.0.1:${innerPort}`, public_url: door.url, test_mode: true },
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
  await door[Symbol.asyncDispose]()
  await network[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

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
  const documents = door.asked.filter((path) => path.endsWith('.json'))
  expect([...new Set(documents)]).toEqual(['/oauth/client-metadata.json', '/admin/oauth/jwks.json'])
  const { size, mode } = await stat(join(folder, 'oauth.key'))
  expect([size > 0, mode & 0o777]).toEqual([true, 0o600])
  const [cookie] = await context.cookies(hold.url)
  expect(cookie).toMatchObject({ name: '__Host-hold-admin', secure: true, httpOnly: true, path: '/', sameSite: 'Lax' }) // prettier-ignore
})

test('with https it registers in its owner’s data repo as a confidential client of its own', async () => {
  const { alice } = network.accounts
  const { registration } = hold.context
  door.asked.length = 0
  const waiting = await registration.open()
  expect(waiting?.href).toBe(`${hold.url}/register`)
  const visit = await fetch(`${hold.url}/register`, { redirect: 'manual' })
  expect(visit.status).toBe(303)
  const authorize = new URL(visit.headers.get('location') ?? '')
  expect(authorize.searchParams.get('client_id')).toBe(`${hold.url}/register/oauth/client-metadata.json`)
  const callback = await signInAtPds(authorize, alice)
  expect((await fetch(callback)).status).toBe(200)
  await registration.done
  const documents = door.asked.filter((path) => path.startsWith('/register/oauth/'))
  expect([...new Set(documents)]).toEqual(['/register/oauth/client-metadata.json', '/register/oauth/jwks.json']) // prettier-ignore
  const query = new URLSearchParams({ repo: alice.did, collection: 'io.atcr.hold' }).toString()
  const answer = await fetch(`${network.pds.url}/xrpc/com.atproto.repo.listRecords?${query}`)
  expect(await answer.json()).toMatchObject({
    records: [{ value: { endpoint: hold.url, owner: alice.did } }],
  })
})
