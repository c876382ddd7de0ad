import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { askHold } from '../../src/hold/commands/ask-hold.ts'
import { openContext } from '../../src/hold/commands/open-context.ts'
import { register } from '../../src/hold/commands/register.ts'
import { holdConfig, type HoldConfig } from '../../src/hold/config.ts'
import { startHold } from '../../src/hold/start.ts'
import { parseHoldRegistrationRecord } from '../../src/protocol/lexicon/hold-registration-record.ts'
import { parseCrewRecord } from '../../src/protocol/lexicon/crew-record.ts'
import { signInAtPds } from '../network/oauth-sign-in.ts'
import { TestNetwork } from '../network/test-network.ts'
import { freePort } from './test-hold.ts'

/** Goal: the owner is asked once, by an address in the log; afterwards his data repo names the hold, and nothing is kept. */

let network: TestNetwork
let folder: string

beforeAll(async () => {
  network = await TestNetwork.create()
  folder = await mkdtemp(join(tmpdir(), 'atcr-register-'))
})
afterAll(async () => {
  await network?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

async function configOf(name: string, ownerDid: string, isPublic = true): Promise<HoldConfig> {
  const port = await freePort()
  return holdConfig({
    server: {
      addr: `127.0.0.1:${port}`,
      public_url: `http://localhost:${port}`,
      public: isPublic,
      test_mode: true,
    },
    registration: { owner_did: ownerDid },
    database: { path: join(folder, name, 'hold.db'), plc_directory_url: network.plc.url },
  })
}

async function recordsOf(did: string, collection: string) {
  const url = `${network.pds.url}/xrpc/com.atproto.repo.listRecords?repo=${did}&collection=${collection}`
  return ((await (await fetch(url)).json()) as { records: { uri: string; value: unknown }[] }).records
}

const holdsOf = async (did: string) =>
  (await recordsOf(did, 'io.atcr.hold')).map(({ value }) => parseHoldRegistrationRecord(value))

/** Where the hold's own page sends whoever visits it. */
async function visit(url: string) {
  const response = await fetch(url, { redirect: 'manual' })
  expect(response.status).toBe(303)
  return new URL(response.headers.get('location') ?? '')
}

/** Runs the command; `visitor` does what its user does with the address it prints. */
async function runRegister(config: HoldConfig, visitor: (url: string) => Promise<void>) {
  const lines: string[] = []
  const printed = Promise.withResolvers<string>()
  const running = register(config, (line) => {
    lines.push(line)
    const [, url] = /^Visit this URL to authorize: (http\S+)$/.exec(line) ?? []
    if (url !== undefined) printed.resolve(url)
  })
  const visiting = Promise.race([printed.promise.then(visitor), running])
  await Promise.all([visiting, running])
  return lines
}

test('the command registers, twice is once, and a change is told', async () => {
  const { alice, bob } = network.accounts
  const config = await configOf('alice', alice.did)
  const lines = await runRegister(config, async (url) => {
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/register$/)
    // Whoever comes by is sent on; nobody but the owner gets anywhere.
    const refused = await fetch(await signInAtPds(await visit(url), bob))
    expect(refused.status).toBe(403)
    expect(await refused.text()).toContain(`only ${alice.did} can register this hold`)
    expect(await holdsOf(bob.did)).toEqual([])
    const denied = await fetch(await signInAtPds(await visit(url), alice, 'reject'))
    expect(denied.status).toBe(502)
    expect(await denied.text()).toContain('Not registered')
    const unknown = await fetch(
      `${url}/callback?state=made-up&code=x&iss=${encodeURIComponent(network.pds.url)}`,
    )
    expect(unknown.status).toBe(502)
    const callback = await signInAtPds(await visit(url), alice)
    const answer = await fetch(callback)
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('Registered')])
    // A login ends once, and the pages are gone with it.
    expect((await fetch(callback).catch(() => ({ status: 404 }))).status).toBe(404)
  })
  expect(lines.at(-1)).toBe('registered')
  const [hold, ...others] = await holdsOf(alice.did)
  expect(others).toEqual([])
  expect(hold).toMatchObject({ endpointUrl: config.server.public_url, ownerDid: alice.did, isPublic: true })
  const crew = (await recordsOf(alice.did, 'io.atcr.hold.crew')).map(({ value }) => parseCrewRecord(value))
  expect(crew).toEqual([expect.objectContaining({ memberDid: alice.did, role: 'owner' })])

  expect(await runRegister(config, () => Promise.reject(new Error('nobody is asked again')))).toEqual([
    'registered already',
  ])
  {
    await using context = await openContext(config)
    const captain = await context.repo.findRecord('io.atcr.hold.captain', 'self')
    await context.repo.putRecord('io.atcr.hold.captain', 'self', { ...captain?.value, public: false })
  }
  await runRegister(config, async (url) => {
    await fetch(await signInAtPds(await visit(url), alice))
  })
  const changed = await holdsOf(alice.did)
  expect(changed).toEqual([{ ...hold, isPublic: false }])
  expect(await recordsOf(alice.did, 'io.atcr.hold.crew')).toHaveLength(1)
})

test('a hold that runs asks at its start, serves the visit, and asks no more', async () => {
  const { bob } = network.accounts
  const config = await configOf('bob', bob.did)
  config.registration.write_owner_records = true
  {
    await using hold = await startHold(config)
    const { registration } = hold.context
    const url = hold.url.replace('localhost', '127.0.0.1')
    await expect.poll(() => registration.isWaiting).toBe(true)
    const authorize = await visit(`${url}/register`)
    // No more than the two collections is asked for.
    const clientId = new URL(authorize.searchParams.get('client_id') ?? '')
    expect(clientId.searchParams.get('scope')).toBe('atproto repo:io.atcr.hold repo:io.atcr.hold.crew')
    expect((await fetch(await signInAtPds(authorize, bob))).status).toBe(200)
    await registration.done
    expect((await fetch(`${url}/register`)).status).toBe(404)
  }
  expect(await holdsOf(bob.did)).toHaveLength(1)
  await using again = await startHold(config)
  expect(await again.context.registration.open()).toBeUndefined()
  expect(again.context.registration.isWaiting).toBe(false)
})

test('the command asks a hold that serves, whose pages are gone when nobody waits', async () => {
  const { bob } = network.accounts
  const config = await configOf('serving', bob.did)
  await using hold = await startHold(config)
  const url = `${hold.url.replace('localhost', '127.0.0.1')}/register`
  const lines = await runRegister(config, async (printed) => {
    expect(printed).toBe(url)
    expect((await fetch(await signInAtPds(await visit(url), bob))).status).toBe(200)
  })
  expect(lines.at(-1)).toBe('registered')
  expect((await holdsOf(bob.did)).map(({ endpointUrl }) => endpointUrl)).toContain(config.server.public_url)
  expect(await recordsOf(bob.did, 'io.atcr.hold.crew')).toHaveLength(1)
  expect((await fetch(url)).status).toBe(404)

  await hold.context.crew.updateCaptain({ isPublic: false })
  const events = await askHold(config, { task: 'register' })
  expect((await events?.next())?.value).toMatchObject({ kind: 'progress', values: { url } })
  expect((await fetch(url, { redirect: 'manual' })).status).toBe(303)
  await events?.return(undefined)
  await expect.poll(async () => (await fetch(url, { redirect: 'manual' })).status).toBe(404)
})

test('a hold that is not asked to has no such pages', async () => {
  const url = network.hold.url.replace('localhost', '127.0.0.1')
  for (const path of ['/register', '/register/callback', '/register/oauth/jwks.json']) {
    expect((await fetch(url + path)).status).toBe(404)
  }
})

test('an owner whose server does not answer is no reason not to start', async () => {
  const config = await configOf('nobody', 'did:plc:nobody')
  config.registration.write_owner_records = true
  await using hold = await startHold(config)
  await expect(hold.context.registration.open()).rejects.toThrow()
  expect((await fetch(`${hold.url.replace('localhost', '127.0.0.1')}/health`)).status).toBe(200)
})
