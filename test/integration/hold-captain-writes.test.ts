import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { pdsBlobCid } from '../../src/atproto/pds-blob-cid.ts'
import { crewRkey } from '../../src/protocol/lexicon/crew-record.ts'
import { TestHold, type TestAccount } from './test-hold.ts'

const crew = 'io.atcr.hold.crew'
const captainCollection = 'io.atcr.hold.captain'
const note = 'app.example.note'

let hold: TestHold
let captain: TestAccount
let member: TestAccount
let stranger: TestAccount

beforeAll(async () => {
  hold = await TestHold.start()
  ;({ captain, member, stranger } = hold.accounts)
})
afterAll(() => hold[Symbol.asyncDispose]())

type Method = 'createRecord' | 'putRecord' | 'deleteRecord' | 'applyWrites'

const write = (method: Method, as: TestAccount | undefined, input: object) =>
  hold.call(`com.atproto.repo.${method}`, {
    ...(as && { as }),
    input: { repo: hold.running.did, ...input },
  })
const crewRecord = (did: string, permissions: string[] = ['blob:read']) => ({
  $type: crew,
  member: did,
  role: 'member',
  permissions,
  addedAt: '2026-01-01T00:00:00.000Z',
})
const read = (collection: string, rkey: string) =>
  hold.call('com.atproto.repo.getRecord', { params: { repo: hold.running.did, collection, rkey } })
const admit = (did: string, permissions: string[]) =>
  write('putRecord', captain, { collection: crew, rkey: crewRkey(did), record: crewRecord(did, permissions) })
const head = () => hold.running.context.repo.getLatestCommit()

describe('the captain', () => {
  test('admits and dismisses crew, with effect at once', async () => {
    const { status, body } = await write('createRecord', captain, {
      collection: crew,
      record: crewRecord(member.did, ['blob:write']),
    })
    expect(status).toBe(200)
    expect(body).toMatchObject({
      uri: `at://${hold.running.did}/${crew}/${crewRkey(member.did)}`,
      commit: head(),
      validationStatus: 'valid',
    })
    const begin = () =>
      hold.call('io.atcr.hold.initiateUpload', { as: member, input: { digest: `sha256:${'0'.repeat(64)}` } })
    expect((await begin()).status).toBe(200)
    const rkey = crewRkey(member.did)
    const removed = await write('deleteRecord', captain, { collection: crew, rkey })
    expect(removed).toMatchObject({ status: 200, body: { commit: head() } })
    expect((await begin()).status).toBe(403)
    expect(await write('deleteRecord', captain, { collection: crew, rkey })).toMatchObject({
      status: 200,
      body: {},
    })
  })

  test('changes several records in one commit, or none', async () => {
    const [one, two] = ['did:plc:one', 'did:plc:two']
    const create = (did: string) => ({
      $type: 'com.atproto.repo.applyWrites#create',
      collection: crew,
      value: crewRecord(did),
    })
    const seq = hold.running.context.repo.sequencer.newestSeq
    const { body } = await write('applyWrites', captain, { writes: [create(one), create(two)] })
    expect(body).toMatchObject({
      commit: head(),
      results: [
        { $type: 'com.atproto.repo.applyWrites#createResult', validationStatus: 'valid' },
        { $type: 'com.atproto.repo.applyWrites#createResult' },
      ],
    })
    expect(hold.running.context.repo.sequencer.newestSeq).toBe(seq + 1)
    const before = head()
    const remove = { $type: 'com.atproto.repo.applyWrites#delete', collection: crew, rkey: crewRkey(one) }
    expect(await write('applyWrites', captain, { writes: [remove, create(two)] })).toMatchObject({
      status: 400,
      body: { error: 'InvalidRequest' },
    })
    expect(head()).toEqual(before)
    const update = { ...create(two), $type: 'com.atproto.repo.applyWrites#update', rkey: crewRkey(two) }
    expect((await write('applyWrites', captain, { writes: [remove, update] })).body['results']).toMatchObject(
      [
        { $type: 'com.atproto.repo.applyWrites#deleteResult' },
        { $type: 'com.atproto.repo.applyWrites#updateResult' },
      ],
    )
    const many = Array.from({ length: 201 }, (_, index) => create(`did:plc:many${index}`))
    expect(await write('applyWrites', captain, { writes: many })).toMatchObject({
      status: 400,
      body: { error: 'InvalidRequest' },
    })
  })

  test('may write any other collection, and the same again makes no commit', async () => {
    const input = { collection: note, rkey: 'a', record: { text: 'hello' } }
    const first = await write('putRecord', captain, input)
    expect(first.body).toMatchObject({ validationStatus: 'unknown', commit: head() })
    const again = await write('putRecord', captain, input)
    expect(again).toMatchObject({ status: 200, body: { cid: first.body['cid'] } })
    expect(again.body).not.toHaveProperty('commit')
    expect((await write('createRecord', captain, input)).body).toMatchObject({ error: 'InvalidRequest' })
  })

  test('may hand the hold over, and only the captain may', async () => {
    const present = (await read(captainCollection, 'self')).body['value'] as object
    await admit('did:plc:stranger', ['crew:admin'])
    const put = (as: TestAccount, change: object) =>
      write('putRecord', as, {
        collection: captainCollection,
        rkey: 'self',
        record: { ...present, ...change },
      })
    expect(await put(stranger, { region: 'eu' })).toMatchObject({ status: 200 })
    expect(await put(stranger, { owner: stranger.did })).toMatchObject({
      status: 403,
      body: { error: 'AccessDenied' },
    })
    expect(await put(captain, { owner: stranger.did })).toMatchObject({ status: 200 })
    expect(await put(captain, { owner: captain.did })).toMatchObject({ status: 403 })
    expect(await put(stranger, { owner: captain.did })).toMatchObject({ status: 200 })
    await write('deleteRecord', captain, { collection: crew, rkey: crewRkey(stranger.did) })
  })
})

describe('swaps', () => {
  test('of the commit', async () => {
    const { cid } = head()
    const input = { collection: note, record: { text: 'swap' }, swapCommit: cid }
    expect((await write('createRecord', captain, input)).status).toBe(200)
    for (const method of ['createRecord', 'putRecord', 'deleteRecord'] as const) {
      expect(await write(method, captain, { ...input, rkey: 'swap' })).toMatchObject({
        status: 400,
        body: { error: 'InvalidSwap' },
      })
    }
    expect((await write('applyWrites', captain, { writes: [], swapCommit: cid })).body).toMatchObject({
      error: 'InvalidSwap',
    })
  })

  test('of the record, null included', async () => {
    const put = (text: string, swapRecord: string | null) =>
      write('putRecord', captain, { collection: note, rkey: 'swapped', record: { text }, swapRecord })
    const first = await put('one', null)
    expect(first.status).toBe(200)
    expect((await put('two', null)).body).toMatchObject({ error: 'InvalidSwap' })
    const second = await put('two', String(first.body['cid']))
    expect(second.status).toBe(200)
    expect((await put('three', String(first.body['cid']))).body).toMatchObject({ error: 'InvalidSwap' })
    const remove = (swapRecord: unknown) =>
      write('deleteRecord', captain, { collection: note, rkey: 'swapped', swapRecord })
    expect((await remove(first.body['cid'])).body).toMatchObject({ error: 'InvalidSwap' })
    expect((await remove(second.body['cid'])).status).toBe(200)
  })

  test('of two who write on the same commit, one wins', async () => {
    const { cid } = head()
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        write('putRecord', captain, {
          collection: note,
          rkey: 'race',
          record: { index },
          swapCommit: cid,
        }),
      ),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })
})

describe('validation', () => {
  const profile = 'app.bsky.actor.profile'
  test.each([
    ['a known lexicon', profile, { displayName: 'x' }, undefined, 200, 'valid'],
    ['a known lexicon, asked for', profile, { displayName: 'y' }, true, 200, 'valid'],
    ['a known lexicon that it does not fit', profile, { displayName: 7 }, undefined, 400, undefined],
    ['the same unchecked', profile, { displayName: 7 }, false, 200, undefined],
    ['an unknown lexicon', note, { a: 1 }, undefined, 200, 'unknown'],
    ['an unknown lexicon, asked for', note, { a: 2 }, true, 400, undefined],
    ['an unknown lexicon unchecked', note, { a: 3 }, false, 200, undefined],
    ['a record the hold relies on, unchecked', captainCollection, { public: 'yes' }, false, 400, undefined],
    ['another $type', note, { $type: profile }, undefined, 400, undefined],
  ])('%s', async (_, collection, record, validate, status, validationStatus) => {
    const before = head()
    const answer = await write('putRecord', captain, { collection, rkey: 'self', record, validate })
    expect(answer.status).toBe(status)
    if (status !== 200) expect(head()).toEqual(before)
    else expect(answer.body['validationStatus']).toBe(validationStatus)
  })

  test.each([
    ['a layer', 'io.atcr.hold.layer', 'x'],
    ['stats', 'io.atcr.hold.stats', 'x'],
    ['a scan', 'io.atcr.hold.scan', 'x'],
    ['crew under a key of one’s own', crew, 'alice'],
    ['a captain under another key', captainCollection, 'me'],
    ['no key', note, '..'],
  ])('%s cannot be written by hand', async (_, collection, rkey) => {
    const record = crewRecord('did:plc:someone')
    expect(
      await write('putRecord', captain, { collection, rkey, record: { ...record, $type: collection } }),
    ).toMatchObject({ status: 400, body: { error: 'InvalidRequest' } })
  })

  test('nor can layers be deleted, or the captain', async () => {
    for (const [collection, rkey] of [
      ['io.atcr.hold.layer', 'x'],
      [captainCollection, 'self'],
      [crew, crewRkey(captain.did)],
    ]) {
      expect(await write('deleteRecord', captain, { collection, rkey })).toMatchObject({
        status: 400,
        body: { error: 'InvalidRequest' },
      })
    }
  })

  test('another data repo, a body too large, a record too large', async () => {
    expect(
      await write('putRecord', captain, { repo: member.did, collection: note, rkey: 'a', record: {} }),
    ).toMatchObject({ status: 400, body: { error: 'RepoNotFound' } })
    const put = (length: number) =>
      write('putRecord', captain, { collection: note, rkey: 'big', record: { text: 'x'.repeat(length) } })
    expect(await put(1_100_000)).toMatchObject({ status: 400, body: { error: 'InvalidRequest' } })
    expect(await put(6_000_000)).toMatchObject({ status: 413, body: { error: 'PayloadTooLarge' } })
  })
})

describe('who may not', () => {
  const input = { collection: note, rkey: 'mine', record: { text: 'x' } }

  test.each(['createRecord', 'putRecord', 'deleteRecord', 'applyWrites'] as const)('%s', async (method) => {
    const all = { ...input, writes: [] }
    expect(await write(method, undefined, all)).toMatchObject({
      status: 401,
      body: { error: 'AuthRequired' },
    })
    expect(await write(method, stranger, all)).toMatchObject({ status: 403, body: { error: 'AccessDenied' } })
    await admit(member.did, ['blob:read', 'blob:write'])
    const { status, body } = await write(method, member, all)
    expect([status, body['message']]).toEqual([
      403,
      'access denied for crew:admin: crew member lacks permission (required: crew:admin)',
    ])
    const token = await captain.token({ aud: hold.running.did, lxm: 'com.atproto.repo.getRecord' })
    expect(
      await hold.call(`com.atproto.repo.${method}`, { token, input: { repo: hold.running.did, ...all } }),
    ).toMatchObject({ status: 401, body: { error: 'InvalidToken' } })
  })

  test('crew admins write as the captain does, until they are dismissed', async () => {
    await admit(member.did, ['crew:admin'])
    expect((await write('putRecord', member, input)).status).toBe(200)
    const own = { collection: crew, rkey: crewRkey(captain.did) }
    expect(await write('deleteRecord', member, own)).toMatchObject({ status: 403 })
    expect(await write('putRecord', member, { ...own, record: crewRecord(captain.did, []) })).toMatchObject({
      status: 403,
    })
    await write('deleteRecord', captain, { collection: crew, rkey: crewRkey(member.did) })
    expect((await write('putRecord', member, { ...input, record: { text: 'y' } })).status).toBe(403)
  })
})

describe('PDS blobs', () => {
  const upload = async (bytes: Uint8Array | string, as?: TestAccount, type = 'image/png') => {
    const lxm = 'com.atproto.repo.uploadBlob'
    const response = await fetch(`${hold.url}/xrpc/${lxm}`, {
      method: 'POST',
      headers: {
        'content-type': type,
        ...(as && { authorization: `Bearer ${await as.token({ aud: hold.running.did, lxm })}` }),
      },
      body: bytes as Uint8Array<ArrayBuffer>,
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const getBlob = async (cid: string, as?: TestAccount, did: string = hold.running.did) => {
    const lxm = 'com.atproto.sync.getBlob'
    const token = await as?.token({ aud: hold.running.did, lxm })
    return await fetch(`${hold.url}/xrpc/${lxm}?${String(new URLSearchParams({ did, cid }))}`, {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    })
  }
  const put = (rkey: string, record: object) =>
    write('putRecord', captain, { collection: note, rkey, record })
  const listed = async () =>
    (await hold.call('com.atproto.sync.listBlobs', { params: { did: hold.running.did } })).body['cids']

  test('live as long as a record names them', async () => {
    const { status, body } = await upload('<script>bytes</script>', captain, 'text/html; charset=utf-8')
    expect(status).toBe(200)
    const blob = body['blob'] as { ref: { $link: string }; size: number; mimeType: string }
    expect(blob).toMatchObject({ $type: 'blob', mimeType: 'text/html', size: 22 })
    const cid = blob.ref.$link
    expect((await getBlob(cid, captain)).status).toBe(404)
    expect(await listed()).toEqual([])

    await put('one', { blob })
    await put('two', { nested: [{ blob }] })
    const response = await getBlob(cid, captain)
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/html',
      'content-length': '22',
      'content-disposition': `attachment; filename="${cid}"`,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
    })
    expect(await response.text()).toBe('<script>bytes</script>')
    expect(await listed()).toEqual([cid])

    await write('deleteRecord', captain, { collection: note, rkey: 'one' })
    expect((await getBlob(cid, captain)).status).toBe(200)
    await put('two', { text: 'no blob any more' })
    expect((await getBlob(cid, captain)).status).toBe(404)
    expect(await listed()).toEqual([])
    expect((await put('two', { blob })).body).toMatchObject({ error: 'BlobNotFound' })
  })

  test('of a private hold are for those who may read', async () => {
    const { body } = await upload('private', captain)
    await put('private', { blob: body['blob'] })
    const cid = (body['blob'] as { ref: { $link: string } }).ref.$link
    await admit(member.did, ['blob:read'])
    expect((await getBlob(cid)).status).toBe(401)
    expect((await getBlob(cid, stranger)).status).toBe(403)
    expect((await getBlob(cid, member)).status).toBe(200)
    expect(await (await getBlob(cid, member, 'did:plc:other')).json()).toMatchObject({
      error: 'RepoNotFound',
    })
    expect((await getBlob('nonsense', member)).status).toBe(400)
  })

  test('that no record came to name are forgotten after an hour', async () => {
    const { body } = await upload('forgotten', captain)
    hold.advance(3590)
    expect(await hold.running.context.pdsBlobs.expire()).toBe(0)
    expect((await upload('forgotten', captain)).status).toBe(200)
    hold.advance(20)
    expect(await hold.running.context.pdsBlobs.expire()).toBe(0)
    hold.advance(3600)
    expect(await hold.running.context.pdsBlobs.expire()).toBe(1)
    expect((await put('late', { blob: body['blob'] })).body).toMatchObject({ error: 'BlobNotFound' })
  })

  test('must be what the record says they are', async () => {
    const blob = (await upload('true', captain)).body['blob'] as object
    expect((await put('false', { blob: { ...blob, size: 5 } })).body).toMatchObject({
      error: 'InvalidRequest',
    })
    expect((await put('false', { blob: { ...blob, mimeType: 'text/html' } })).status).toBe(400)
    const text = (await upload('text', captain, 'text/plain')).body['blob']
    const avatar = { collection: 'app.bsky.actor.profile', rkey: 'self', record: { avatar: text } }
    expect((await write('putRecord', captain, avatar)).body).toMatchObject({ error: 'InvalidRequest' })
  })

  test('of 5 MiB at most, of a type, by an admin', async () => {
    expect((await upload(new Uint8Array(5 * 1024 * 1024), captain)).status).toBe(200)
    expect(await upload(new Uint8Array(5 * 1024 * 1024 + 1), captain)).toMatchObject({
      status: 413,
      body: { error: 'PayloadTooLarge' },
    })
    expect((await upload('x', captain, 'a type')).body).toMatchObject({ error: 'InvalidRequest' })
    expect((await upload('x')).status).toBe(401)
    expect((await upload('x', member)).status).toBe(403)
  })

  test('that are missing are listed for admins', async () => {
    const missing = pdsBlobCid('0'.repeat(64))
    const { repo } = hold.running.context
    const blob = { $type: 'blob', ref: { $link: missing }, mimeType: 'image/png', size: 1 }
    await repo.applyWrites([{ action: 'put', collection: note, rkey: 'gap', record: { blob } }], {
      allowsMissingBlobs: true,
    })
    const list = (as: TestAccount) => hold.call('com.atproto.repo.listMissingBlobs', { as })
    expect((await list(captain)).body).toEqual({
      blobs: [{ cid: missing, recordUri: `at://${hold.running.did}/${note}/gap` }],
    })
    expect((await list(stranger)).status).toBe(403)
  })

  test('the profile shows the avatar', async () => {
    const avatar = (await upload('png', captain)).body['blob']
    const record = { displayName: 'The hold', description: 'of ours', avatar }
    await write('putRecord', captain, { collection: 'app.bsky.actor.profile', rkey: 'self', record })
    const { did } = hold.running
    const { body } = await hold.call('app.bsky.actor.getProfile', { params: { actor: did } })
    expect(body).toMatchObject({ did, handle: 'handle.invalid', displayName: 'The hold', postsCount: 0 })
    expect(new URL(String(body['avatar'])).pathname).toBe('/xrpc/com.atproto.sync.getBlob')
    const profiles = await hold.call('app.bsky.actor.getProfiles', {
      params: { actors: ['alice.example', did] },
    })
    expect(profiles.body).toEqual({ profiles: [body] })
    expect(
      await hold.call('app.bsky.actor.getProfile', { params: { actor: 'alice.example' } }),
    ).toMatchObject({ status: 400, body: { error: 'InvalidRequest' } })
  })
})
