import { afterEach, expect, test } from 'vitest'

import { digestOf, patterned, TestHold, type TestAccount } from './test-hold.ts'

const lxm = (name: string) => `io.atcr.hold.${name}`
const tiers = [
  { name: 'small', quota: '10MB' },
  { name: 'large', quota: '30MB' },
]

let hold: TestHold
afterEach(() => hold[Symbol.asyncDispose]())

const admit = (account: TestAccount) =>
  hold.running.context.crew.admit(account.did, { role: 'mate', permissions: ['blob:write'] })

async function push(as: TestAccount, name: string, blobs: readonly Uint8Array[]): Promise<void> {
  for (const bytes of blobs) {
    const input = { digest: digestOf(bytes), direct: true }
    const { body } = await hold.call(lxm('initiateUpload'), { as, input })
    const url = String(body['uploadUrl']).replace('localhost', '127.0.0.1')
    const query = `?digest=${digestOf(bytes)}`
    const put = await fetch(url + query, { method: 'PUT', body: new Uint8Array(bytes) })
    expect(put.status).toBe(201)
  }
  const layers = blobs.map((bytes) => ({ digest: digestOf(bytes), mediaType: 'x/y', size: bytes.length }))
  const manifestDigest = digestOf(Buffer.from(name))
  const input = { operation: 'push', repository: name, userDid: as.did, manifestDigest, manifest: { layers } }
  expect((await hold.call(lxm('notifyManifest'), { as, input })).status).toBe(200)
}

const exported = async (as: TestAccount) => {
  const { status, body } = await hold.call(lxm('exportUserData'), { as })
  expect(status).toBe(200)
  return body as Record<string, Record<string, unknown>[]>
}

test('everything kept about somebody is told to that one, and about nobody else', async () => {
  hold = await TestHold.start({ tiers })
  const { member, captain, stranger } = hold.accounts
  await admit(member)
  const shared = patterned(1000, 1)
  const own = patterned(2000, 2)
  const unnamed = patterned(3000, 3)
  await push(captain, 'theirs', [shared])
  await push(member, 'app', [shared, own])
  await push(member, 'tool', [own])
  await hold.call(lxm('initiateUpload'), { as: member, input: { digest: digestOf(unnamed), size: 3000 } })
  const data = await exported(member)
  expect(Object.keys(data)).toEqual([
    'crew',
    'layers',
    'stats',
    'manifests',
    'posts',
    'labels',
    'charges',
    'uploads',
    'sentBlobs',
    'owner',
  ])
  expect(data['crew']).toMatchObject([{ value: { member: member.did, role: 'mate' } }])
  expect(data['layers']?.length).toBe(3)
  for (const { value } of data['layers'] ?? []) expect(value).toMatchObject({ userDid: member.did })
  expect(data['stats']).toMatchObject([
    { repository: 'app', push_count: 1 },
    { repository: 'tool', push_count: 1 },
  ])
  expect(data['manifests']?.map(({ repositories }) => repositories)).toEqual(expect.arrayContaining([['app'], ['tool']])) // prettier-ignore
  const byDigest = (rows: Record<string, unknown>[] | undefined) =>
    Object.fromEntries((rows ?? []).map((row) => [row['digest'], row['reference_count'] ?? null]))
  expect(byDigest(data['charges'])).toEqual({ [digestOf(shared)]: 1, [digestOf(own)]: 2 })
  expect(Object.keys(byDigest(data['sentBlobs'])).sort()).toEqual([digestOf(shared), digestOf(own)].sort())
  expect(data['uploads']?.map(({ state }) => state).sort()).toEqual(['completed', 'completed', 'completed', 'open']) // prettier-ignore
  const nothing = await exported(stranger)
  expect(Object.values(nothing).flat()).toEqual([])
  expect((await hold.call(lxm('exportUserData'))).status).toBe(401)
})

test('an export of many pages is whole', async () => {
  hold = await TestHold.start()
  const { captain } = hold.accounts
  const blobs = Array.from({ length: 260 }, (_, index) => Buffer.from(`blob ${index}`))
  await push(captain, 'app', blobs)
  const data = await exported(captain)
  const digests = data['layers']?.map(({ value }) => (value as { digest: string }).digest)
  expect(digests?.sort()).toEqual(blobs.map((bytes) => digestOf(bytes)).sort())
  expect(data['charges']?.length).toBe(260)
})

test('who asks to be forgotten leaves the crew, and no record behind', async () => {
  hold = await TestHold.start({ tiers })
  const { repo, jobs } = hold.running.context
  const { member, captain } = hold.accounts
  await admit(member)
  const shared = patterned(1000, 1)
  await push(captain, 'theirs', [shared])
  await push(member, 'app', [shared, patterned(2000, 2)])
  await push(member, 'tool', [shared])
  jobs.flushStats.kick()
  await jobs.flushStats.idle()
  const seqBefore = repo.sequencer.newestSeq
  const { status, body } = await hold.call(lxm('deleteUserData'), { as: member, input: {} })
  // One crew record, counters of two repositories, three layers; in three commits.
  expect([status, body]).toEqual([200, { deleted: 6 }])
  expect(repo.sequencer.newestSeq - seqBefore).toBe(3)
  const data = await exported(member)
  expect([data['crew'], data['layers'], data['stats'], data['charges']]).toEqual([[], [], [], []])
  const quota = await hold.call(lxm('getQuota'), { params: { userDid: member.did } })
  expect(quota.body).toMatchObject({ uniqueBlobs: 0, totalSize: 0 })
  for (const collection of await repo.listCollections()) {
    const { records } = await repo.listRecords(collection, { limit: 100 })
    expect(JSON.stringify(records)).not.toContain(member.did)
  }
  expect((await hold.call(lxm('initiateUpload'), { as: member, input: { digest: 'uploads/x' } })).status).toBe(403) // prettier-ignore
  jobs.flushStats.kick()
  await jobs.flushStats.idle()
  expect(await repo.countRecords('io.atcr.hold.stats')).toBe(1)
  // What others have is theirs.
  expect((await hold.download(digestOf(shared), captain))?.equals(shared)).toBe(true)
  expect((await exported(captain))['layers']?.length).toBe(1)
  expect((await hold.call(lxm('deleteUserData'), { as: member, input: {} })).body).toEqual({ deleted: 0 })
})

test('the captain stays in the crew', async () => {
  hold = await TestHold.start()
  const { captain } = hold.accounts
  await push(captain, 'app', [patterned(1000, 1)])
  expect((await hold.call(lxm('deleteUserData'), { as: captain, input: {} })).body).toEqual({ deleted: 2 })
  expect((await exported(captain))['crew']?.length).toBe(1)
  expect((await hold.call(lxm('initiateUpload'), { as: captain, input: { digest: 'uploads/x' } })).status).toBe(200) // prettier-ignore
})

test('the AppView the hold trusts moves crew between tiers, and nobody else does', async () => {
  hold = await TestHold.start({ tiers, appviewDid: 'did:plc:stranger' })
  const { member, captain, stranger: appview } = hold.accounts
  await admit(member)
  const { crew } = hold.running.context
  await crew.admit(member.did, { role: 'mate', permissions: ['blob:read'], tier: 'small' })
  const update = (as: TestAccount, userDid: string, tierRank: number) =>
    hold.call(lxm('updateCrewTier'), { as, input: { userDid, tierRank } })
  for (const who of [captain, member]) {
    const { status, body } = await update(who, member.did, 1)
    expect([status, body['error']]).toEqual([403, 'AccessDenied'])
    expect(body['message']).toMatch(/^access denied for crew:admin: .* \(required: appview\)$/)
  }
  const wrongMethod = await appview.token({ aud: hold.running.did, lxm: lxm('requestCrew') })
  const input = { userDid: member.did, tierRank: 1 }
  expect((await hold.call(lxm('updateCrewTier'), { token: wrongMethod, input })).status).toBe(401)
  expect((await hold.call(lxm('updateCrewTier'), { input })).status).toBe(401)
  expect((await update(appview, member.did, 1)).body).toEqual({ tierName: 'large' })
  expect(await crew.find(member.did)).toMatchObject({ tier: 'large', role: 'mate', permissions: ['blob:read'] }) // prettier-ignore
  expect((await update(appview, member.did, 0)).body).toEqual({ tierName: 'small' })
  expect((await update(appview, member.did, 99)).body).toEqual({ tierName: 'large' })
  expect((await update(appview, member.did, -1)).status).toBe(400)
  expect((await update(appview, captain.did, 0)).body['error']).toBe('InvalidRequest')
  expect((await update(appview, 'did:plc:nobody', 0)).body['error']).toBe('InvalidRequest')
})

test('without an AppView to trust, or without tiers, nobody is moved', async () => {
  hold = await TestHold.start({ tiers })
  const { captain, stranger, member } = hold.accounts
  await admit(member)
  const input = { userDid: member.did, tierRank: 0 }
  for (const as of [captain, stranger]) {
    expect((await hold.call(lxm('updateCrewTier'), { as, input })).status).toBe(403)
  }
  await hold[Symbol.asyncDispose]()
  hold = await TestHold.start({ appviewDid: 'did:plc:stranger' })
  const { status, body } = await hold.call(lxm('updateCrewTier'), { as: hold.accounts.stranger, input })
  expect([status, body['error']]).toEqual([400, 'InvalidRequest'])
})

test('an OAuth token bound to a key is turned away with a word about what to bring', async () => {
  hold = await TestHold.start()
  const response = await fetch(`${hold.url}/xrpc/${lxm('exportUserData')}`, {
    headers: { authorization: 'DPoP eyJhbGciOiJIUzI1NiJ9.e30.x', dpop: 'eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.x' },
  })
  expect(response.status).toBe(401)
  expect(response.headers.get('www-authenticate')).toBe('Bearer error="AuthRequired"')
  const body = (await response.json()) as Record<string, string>
  expect(body['error']).toBe('AuthRequired')
  expect(body['message']).toContain('com.atproto.server.getServiceAuth')
})
