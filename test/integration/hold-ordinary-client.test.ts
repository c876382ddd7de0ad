import { AtpAgent } from '@atproto/api'
import { Client, type LexMap } from '@atproto/lex'
import { afterAll, beforeAll, expect, test } from 'vitest'

import * as applyWrites from '../../src/protocol/lexicon/generated/com/atproto/repo/applyWrites.ts'
import * as describeRepo from '../../src/protocol/lexicon/generated/com/atproto/repo/describeRepo.ts'
import * as describeServer from '../../src/protocol/lexicon/generated/com/atproto/server/describeServer.ts'
import * as getLatestCommit from '../../src/protocol/lexicon/generated/com/atproto/sync/getLatestCommit.ts'
import * as getRepoStatus from '../../src/protocol/lexicon/generated/com/atproto/sync/getRepoStatus.ts'
import * as listBlobs from '../../src/protocol/lexicon/generated/com/atproto/sync/listBlobs.ts'
import * as listRepos from '../../src/protocol/lexicon/generated/com/atproto/sync/listRepos.ts'
import { buildCrewRecord, crewCollection, crewRkey } from '../../src/protocol/lexicon/crew-record.ts'
import type { Account } from '../network/accounts.ts'
import { TestNetwork } from '../network/test-network.ts'

// Crew is kept with libraries that know nothing of us, with tokens that the captain's own PDS mints.

let network: TestNetwork

beforeAll(async () => {
  network = await TestNetwork.create()
})
afterAll(() => network[Symbol.asyncDispose]())

/** A `fetch` for the hold: each call with a token for its method, from the account's PDS. */
async function holdFetch(account: Account): Promise<typeof globalThis.fetch> {
  const atPds = new AtpAgent({ service: network.pds.url })
  await atPds.login({ identifier: account.handle, password: account.password })
  return async (input, init) => {
    const request = new Request(input, init)
    const lxm = new URL(request.url).pathname.replace('/xrpc/', '')
    const { data } = await atPds.com.atproto.server.getServiceAuth({ aud: network.hold.did, lxm })
    request.headers.set('authorization', `Bearer ${data.token}`)
    return fetch(request)
  }
}

const agentFor = async (account: Account) =>
  new AtpAgent({ service: network.hold.url, fetch: await holdFetch(account) })
const crewRecord = (did: string) =>
  buildCrewRecord({
    memberDid: did,
    role: 'member',
    permissions: ['blob:write'],
    addedAt: new Date('2026-01-01T00:00:00Z'),
  })
const upload = async (account: Account) => {
  const send = await holdFetch(account)
  const { status } = await send(`${network.hold.url}/xrpc/io.atcr.hold.initiateUpload`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ digest: `sha256:${'0'.repeat(64)}` }),
  })
  return status
}

test('with @atproto/api: create, list, put, delete', async () => {
  const { alice, bob } = network.accounts
  const { did: repo } = network.hold
  const agent = await agentFor(alice)
  const { com } = agent
  const place = { repo, collection: crewCollection, rkey: crewRkey(bob.did) }
  await com.atproto.repo.deleteRecord(place)
  expect(await upload(bob)).toBe(403)

  const created = await com.atproto.repo.createRecord({
    repo,
    collection: crewCollection,
    record: crewRecord(bob.did),
  })
  expect(created.data.uri).toBe(`at://${repo}/${crewCollection}/${place.rkey}`)
  expect(await upload(bob)).toBe(200)
  const { data } = await com.atproto.repo.listRecords({ repo, collection: crewCollection })
  expect(data.records.map(({ uri }) => uri)).toContain(created.data.uri)

  const reader = { ...crewRecord(bob.did), permissions: ['blob:read'] }
  await com.atproto.repo.putRecord({ ...place, record: reader, swapRecord: created.data.cid })
  expect(await upload(bob)).toBe(403)
  await expect(
    com.atproto.repo.deleteRecord({ ...place, swapRecord: created.data.cid }),
  ).rejects.toMatchObject({ error: 'InvalidSwap' })
  await com.atproto.repo.deleteRecord(place)
  await expect(com.atproto.repo.getRecord(place)).rejects.toMatchObject({ error: 'RecordNotFound' })
})

test('with @atproto/lex: applyWrites; what it answers fits the lexicon', async () => {
  const { alice, bob } = network.accounts
  const { did: repo } = network.hold
  const send = await holdFetch(alice)
  const client = new Client({ fetchHandler: (path, init) => send(new URL(path, network.hold.url), init) })
  const create = applyWrites.create.$build({
    collection: crewCollection,
    value: crewRecord(bob.did) as LexMap,
  })
  const { results } = await client.call(applyWrites.main, { repo, writes: [create] })
  expect(results).toMatchObject([{ validationStatus: 'valid' }])
  expect(await upload(bob)).toBe(200)
})

test('somebody else’s token is refused, and an avatar comes with @atproto/api', async () => {
  const { alice, bob } = network.accounts
  const { did: repo } = network.hold
  const input = { repo, collection: crewCollection, record: crewRecord('did:plc:friend') }
  await expect((await agentFor(bob)).com.atproto.repo.createRecord(input)).rejects.toMatchObject({
    error: 'AccessDenied',
  })
  const agent = await agentFor(alice)
  const { data } = await agent.uploadBlob(new Uint8Array([1, 2, 3]), { encoding: 'image/png' })
  const place = { repo, collection: 'app.bsky.actor.profile', rkey: 'self' }
  await agent.com.atproto.repo.putRecord({ ...place, record: { displayName: 'Alice’s', avatar: data.blob } })
  const profile = await agent.app.bsky.actor.getProfile({ actor: repo })
  expect(profile.data).toMatchObject({ displayName: 'Alice’s' })
  const avatar = await fetch(String(profile.data.avatar))
  expect(new Uint8Array(await avatar.arrayBuffer())).toEqual(new Uint8Array([1, 2, 3]))
})

test('what the hold says as a PDS fits the lexicons, and of other data repos it says that they are not here', async () => {
  const client = new Client({ fetchHandler: (path, init) => fetch(new URL(path, network.hold.url), init) })
  const { did } = network.hold
  const { cid, rev } = network.hold.context.repo.getLatestCommit()
  const server = await client.call(describeServer.main)
  expect(server).toMatchObject({ did, inviteCodeRequired: true })
  const repo = await client.call(describeRepo.main, { repo: did })
  expect(repo).toMatchObject({ did, handle: 'handle.invalid', handleIsCorrect: false })
  expect(repo.collections).toContain(crewCollection)
  expect(await client.call(listRepos.main)).toEqual({ repos: [{ did, head: cid, rev, active: true }] })
  expect(await client.call(getRepoStatus.main, { did })).toEqual({ did, active: true, rev })
  expect(await client.call(getLatestCommit.main, { did })).toEqual({ cid, rev })
  expect((await client.call(listBlobs.main, { did })).cids).toHaveLength(1)

  const { did: other } = network.accounts.bob
  for (const call of [
    () => client.call(describeRepo.main, { repo: other }),
    () => client.call(getRepoStatus.main, { did: other }),
    () => client.call(getLatestCommit.main, { did: other }),
    () => client.call(listBlobs.main, { did: other }),
  ]) {
    await expect(call()).rejects.toMatchObject({ error: 'RepoNotFound' })
  }
})
