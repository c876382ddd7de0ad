import { describe, expect, onTestFinished, test, vi } from 'vitest'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Identity } from '../../atproto/identity.ts'
import type { Did } from '../../atproto/syntax.ts'
import * as initiateUpload from '../../protocol/lexicon/generated/io/atcr/hold/initiateUpload.ts'
import * as requestCrew from '../../protocol/lexicon/generated/io/atcr/hold/requestCrew.ts'
import { HoldCaller } from './hold-caller.ts'

const hold = 'did:web:hold.example'
const alice: Did = 'did:plc:alice'

/** A hold, and a PDS that gives numbered service tokens. Ours takes a service token once and answers a session. */
function network(kind: 'ours' | 'theirs') {
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  let issued = 0
  const used = new Set<string>()
  const valid = new Set<string>()
  const seen: string[] = []
  const trouble: { pds?: () => Response; hold?: () => Response | Promise<Response> } = {}
  const identity: Identity = {
    did: hold,
    handle: undefined,
    pdsUrl: undefined,
    holdUrl: 'https://hold.example',
    document: { id: hold },
  }
  const caller = new HoldCaller({
    now: () => new Date(nowMs),
    identities: { resolveDid: async () => identity },
    sessions: {
      session: async (did) => ({
        did,
        pdsUrl: 'https://pds.example',
        fetchHandler: async () => {
          const token = `service-${++issued}`
          if (trouble.pds !== undefined) return trouble.pds()
          valid.add(token)
          return Response.json({ token })
        },
      }),
    },
    fetch: async (_url, init) => {
      await Promise.resolve()
      const token = new Headers(init?.headers).get('authorization')?.slice('Bearer '.length) ?? ''
      seen.push(token)
      if (trouble.hold !== undefined) return trouble.hold()
      const isReplay = kind === 'ours' && token.startsWith('service-') && used.has(token)
      used.add(token)
      if (!valid.has(token) || isReplay) return Response.json({ error: 'AuthRequired' }, { status: 401 })
      const headers: Record<string, string> =
        kind === 'ours' && token.startsWith('service-')
          ? { 'atcr-hold-session': `session-${token}`, 'atcr-hold-session-expires': '300' }
          : {}
      for (const session of Object.values(headers)) valid.add(session)
      return Response.json({ status: 'already_member' }, { headers })
    },
  })
  const call = () =>
    caller.call(requestCrew.main, requestCrew.$nsid, { holdDid: hold, accountDid: alice }, { body: {} })
  const start = () =>
    caller.authorized(initiateUpload.$nsid, { holdDid: hold, accountDid: alice }, async (target) => {
      const headers = { authorization: `Bearer ${target.token}` }
      const response = await target.fetch(target.serviceUrl, { headers })
      if (!response.ok) throw new AtprotoError('auth_failed', 'refused')
      return response
    })
  const prepare = () => caller.prepare({ holdDid: hold, accountDid: alice }, 'start upload')
  return {
    caller,
    start,
    prepare,
    call,
    seen,
    valid,
    trouble,
    issuedCount: () => issued,
    pass: (ms: number) => (nowMs += ms),
  }
}

test('a hold of ours is shown its session after the first service token', async () => {
  const { call, seen } = network('ours')
  for (let count = 0; count < 3; count++) await call()
  expect(seen).toEqual(['service-1', 'session-service-1', 'session-service-1'])
})

test('first calls at once wait for the session instead of each asking for a token', async () => {
  const { call, issuedCount } = network('ours')
  await Promise.all(Array.from({ length: 10 }, call))
  expect(issuedCount()).toBe(1)
})

test('a PDS that gives no token is asked once for all who wait', async () => {
  const { call, issuedCount, trouble } = network('ours')
  trouble.pds = () =>
    Response.json({ error: 'RateLimitExceeded' }, { status: 429, headers: { 'retry-after': '9' } })
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, call))
  expect(issuedCount()).toBe(1)
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ reason: { code: 'rate_limited', retryAfterSeconds: 9 } })
  }
  delete trouble.pds
  await call()
  expect(issuedCount()).toBe(2)
})

test.each(['ours', 'theirs'] as const)(
  'a token that a hold out of order has not used is kept: %s',
  async (kind) => {
    const { call, issuedCount, trouble } = network(kind)
    trouble.hold = () => Response.json({ error: 'Unavailable' }, { status: 503 })
    await Promise.allSettled(Array.from({ length: 10 }, call))
    delete trouble.hold
    await Promise.all(Array.from({ length: 10 }, call))
    expect(issuedCount()).toBe(1)
  },
)

test('who waited a minute for a slow first call goes on, and of them one again is first', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const { call, issuedCount, trouble } = network('ours')
  const { promise: stuck, resolve: release } = Promise.withResolvers<Response>()
  trouble.hold = () => stuck
  const slow = call()
  await vi.advanceTimersByTimeAsync(1_000)
  delete trouble.hold
  const waiting = Array.from({ length: 10 }, call)
  await vi.advanceTimersByTimeAsync(59_000)
  expect(issuedCount()).toBe(1)
  await vi.advanceTimersByTimeAsync(2_000)
  await Promise.all(waiting)
  expect(issuedCount()).toBe(2)
  release(Response.json({ status: 'already_member' }))
  await slow
})

test('any other hold is shown the same service token until just before it expires', async () => {
  const { call, seen, pass } = network('theirs')
  await call()
  pass(200_000)
  await call()
  pass(60_000)
  await call()
  expect(seen).toEqual(['service-1', 'service-1', 'service-2'])
})

test('a kept token that is refused is replaced once', async () => {
  const { call, seen, valid } = network('ours')
  await call()
  valid.clear()
  await call()
  expect(seen).toEqual(['service-1', 'session-service-1', 'service-2'])
})

test('a hold that refuses even a fresh token is an error in our words', async () => {
  const { call, valid } = network('theirs')
  valid.add = () => valid
  await expect(call()).rejects.toMatchObject({ code: 'hold_refused' })
})

test('a hold that refused a fresh token is believed for a minute, or until the account signs in', async () => {
  const { call, start, prepare, caller, issuedCount, valid, pass } = network('theirs')
  const add = valid.add.bind(valid)
  valid.add = () => valid
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, call))
  for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'hold_refused' } })
  expect(issuedCount()).toBe(1)
  // Another method is another question.
  await expect(start()).rejects.toMatchObject({ code: 'hold_refused' })
  await prepare()
  expect(issuedCount()).toBe(2)
  caller.noteLogin('did:plc:alic')
  await expect(call()).rejects.toMatchObject({ code: 'hold_refused' })
  expect(issuedCount()).toBe(2)
  pass(60_000)
  await expect(call()).rejects.toMatchObject({ code: 'hold_refused' })
  expect(issuedCount()).toBe(3)
  valid.add = add
  caller.noteLogin(alice)
  await call()
  expect(issuedCount()).toBe(4)
})

describe('a token fetched ahead', () => {
  test.each(['ours', 'theirs'] as const)('is the one that the first call shows: %s', async (kind) => {
    const { prepare, start, issuedCount, seen } = network(kind)
    await Promise.all([prepare(), prepare(), prepare()])
    await prepare()
    await Promise.all(Array.from({ length: 10 }, start))
    expect([issuedCount(), seen[0]]).toEqual([1, 'service-1'])
  })

  test('is waited for when it is still on its way', async () => {
    const { prepare, start, issuedCount } = network('ours')
    void prepare()
    await start()
    expect(issuedCount()).toBe(1)
  })

  test('is not there while the last authorization is good for long, and is when it is soon over', async () => {
    const { prepare, start, issuedCount, pass } = network('ours')
    await start()
    await prepare()
    expect(issuedCount()).toBe(1)
    pass(200_000)
    await prepare()
    expect(issuedCount()).toBe(2)
    pass(100_000)
    await start()
    expect(issuedCount()).toBe(2)
  })

  test('that was never used is not shown once it has expired', async () => {
    const { prepare, start, issuedCount, pass } = network('theirs')
    await prepare()
    pass(235_000)
    await start()
    expect(issuedCount()).toBe(2)
  })

  test('is asked for once a minute at most, and never fails; who needs it asks at once', async () => {
    const { prepare, start, issuedCount, trouble, pass } = network('ours')
    trouble.pds = () => Response.json({ error: 'RateLimitExceeded' }, { status: 429 })
    for (let count = 0; count < 10; count++) await prepare()
    expect(issuedCount()).toBe(1)
    await expect(start()).rejects.toMatchObject({ code: 'rate_limited' })
    delete trouble.pds
    await start()
    expect(issuedCount()).toBe(3)
    pass(310_000)
    await prepare()
    expect(issuedCount()).toBe(4)
  })
})
