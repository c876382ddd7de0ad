import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { verifyRepoCar } from '@atproto/repo'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'

import { Identities } from '../../src/atproto/identity.ts'
import { createOutboundFetch } from '../../src/atproto/outbound-fetch.ts'
import { holdConfig } from '../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../src/hold/start.ts'
import { systemNow } from '../../src/lib/clock.ts'

const owner = 'did:web:captain.example'

let folder: string
let port: number
let hold: RunningHold

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hold-pds-'))
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  port = (probe.address() as AddressInfo).port
  probe.close()
  await once(probe, 'close')
  hold = await start()
})
afterAll(async () => {
  await hold[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

const start = () =>
  startHold(
    holdConfig({
      server: {
        addr: `127.0.0.1:${port}`,
        public_url: `http://localhost:${port}`,
        public: true,
        test_mode: true,
      },
      registration: { owner_did: owner, allow_all_crew: true },
      database: { path: join(folder, 'hold.db') },
    }),
  )
const getJson = async (path: string) =>
  (await (await fetch(`${hold.url}${path}`)).json()) as Record<string, unknown>
const subscribe = (query = '') =>
  new WebSocket(`ws://localhost:${port}/xrpc/com.atproto.sync.subscribeRepos${query}`)

test('a new hold has an identity that resolves, and captain and crew as signed records', async () => {
  const fetch = createOutboundFetch({ userAgent: 'test', allowPrivateNetwork: true })
  const identities = new Identities({ fetch, plcUrl: hold.url, handleResolverUrl: null, now: systemNow })
  const { pdsUrl, holdUrl } = await identities.resolveDid(hold.did)
  expect([pdsUrl, holdUrl]).toEqual([hold.url, hold.url])

  const captain = await getJson(
    `/xrpc/com.atproto.repo.getRecord?repo=${hold.did}&collection=io.atcr.hold.captain&rkey=self`,
  )
  expect(captain['value']).toMatchObject({ owner, public: true, allowAllCrew: true })
  const crew = await getJson(
    `/xrpc/com.atproto.repo.listRecords?repo=${hold.did}&collection=io.atcr.hold.crew`,
  )
  expect(crew['records']).toMatchObject([{ value: { member: owner, role: 'owner' } }])
})

test('the exported data repo verifies against the key of the DID document', async () => {
  const { verificationMethod } = (await getJson('/.well-known/did.json')) as {
    verificationMethod: { publicKeyMultibase: string }[]
  }
  const response = await fetch(
    `${hold.url}/xrpc/com.atproto.sync.getRepo?did=${encodeURIComponent(hold.did)}`,
  )
  const car = new Uint8Array(await response.arrayBuffer())
  const key = `did:key:${verificationMethod[0]?.publicKeyMultibase}`
  const { creates } = await verifyRepoCar(car, hold.did, key)
  expect(creates.map(({ collection }) => collection).toSorted()).toEqual([
    'app.bsky.actor.profile',
    'io.atcr.hold.captain',
    'io.atcr.hold.crew',
  ])
})

test('a stop closes firehose connections at once, and a start goes on where it was', async () => {
  const { did } = hold
  const { repo } = hold.context
  const commit = repo.getLatestCommit()
  const seq = repo.sequencer.newestSeq
  const socket = subscribe('?cursor=0')
  let count = 0
  await new Promise<void>((resolve) => {
    socket.on('message', () => {
      count += 1
      if (count === seq) resolve()
    })
  })
  const closed = once(socket, 'close')
  const stoppedAtMs = performance.now()
  await hold[Symbol.asyncDispose]()
  expect(performance.now() - stoppedAtMs).toBeLessThan(3000)
  expect((await closed)[0]).toBe(1001)

  hold = await start()
  expect(hold.did).toBe(did)
  expect(hold.context.repo.getLatestCommit()).toEqual(commit)
  expect(hold.context.repo.sequencer.newestSeq).toBe(seq)
})

test('a WebSocket to anywhere else is refused', async () => {
  const socket = new WebSocket(`ws://localhost:${port}/xrpc/com.example.other`)
  const error = await new Promise<Error>((resolve) => socket.once('error', resolve))
  expect(error.message).toContain('404')
})
