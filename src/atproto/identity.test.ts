import { describe, expect, test } from 'vitest'

import { Identities } from './identity.ts'
import type { Fetch } from './outbound-fetch.ts'

const plcUrl = 'http://plc.invalid'
const handleResolverUrl = 'http://pds.invalid'

/** A directory of one account; `answers` may be changed while a test runs. */
function network() {
  const state = { handle: 'alice.test', pds: 'http://pds.one', isDown: false, calls: 0, nowMs: 0 }
  const fetch: Fetch = async (input) => {
    const url = new URL(input)
    state.calls++
    if (state.isDown) throw new TypeError('fetch failed')
    if (url.host === 'pds.invalid') {
      const isAlice = url.searchParams.get('handle') === 'alice.test'
      return Response.json(isAlice ? { did: 'did:plc:alice' } : { error: 'InvalidRequest' }, {
        status: isAlice ? 200 : 400,
      })
    }
    if (url.href === 'http://localhost:8080/.well-known/did.json')
      return Response.json(document('did:web:localhost:8080'))
    if (url.pathname !== '/did:plc:alice') return new Response('no', { status: 404 })
    return Response.json(document('did:plc:alice'))
  }
  const document = (id: string) => ({
    id,
    alsoKnownAs: [`at://${state.handle}`],
    service: [
      { id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: state.pds },
      { id: '#atcr_hold', type: 'AtcrHoldService', serviceEndpoint: 'http://hold.one' },
    ],
  })
  const identities = new Identities({ fetch, plcUrl, handleResolverUrl, now: () => new Date(state.nowMs) })
  return { state, identities }
}

describe('Identities', () => {
  test('a handle, its DID and its PDS', async () => {
    const { identities } = network()
    const alice = await identities.resolveActor('Alice.test')
    expect(alice).toMatchObject({ did: 'did:plc:alice', handle: 'alice.test', pdsUrl: 'http://pds.one', holdUrl: 'http://hold.one' }) // prettier-ignore
  })

  test('a handle that does not point back is not believed', async () => {
    const { identities, state } = network()
    state.handle = 'mallory.test'
    expect((await identities.resolveDid('did:plc:alice')).handle).toBeUndefined()
  })

  test('known identities cost no call, and outlive an outage', async () => {
    const { identities, state } = network()
    await identities.resolveActor('alice.test')
    const { calls } = state
    await identities.resolveActor('alice.test')
    expect(state.calls).toBe(calls)
    state.isDown = true
    state.nowMs += 3_600_000
    expect(await identities.resolveActor('alice.test')).toMatchObject({
      did: 'did:plc:alice',
      pdsUrl: 'http://pds.one',
    })
  })

  test('a move is seen when asked afresh, and after forgetting', async () => {
    const { identities, state } = network()
    await identities.resolveDid('did:plc:alice')
    state.pds = 'http://pds.two'
    expect((await identities.resolveDid('did:plc:alice')).pdsUrl).toBe('http://pds.one')
    expect((await identities.resolveDid('did:plc:alice', { fresh: true })).pdsUrl).toBe('http://pds.two')
    state.pds = 'http://pds.three'
    identities.forget('did:plc:alice')
    expect((await identities.resolveDid('did:plc:alice')).pdsUrl).toBe('http://pds.three')
  })

  test('both spellings of a did:web are one identity', async () => {
    const { identities } = network()
    expect(await identities.resolveDid('did:web:localhost:8080')).toMatchObject({
      did: 'did:web:localhost%3A8080',
    })
  })

  test('absence and outage are told apart', async () => {
    const { identities, state } = network()
    await expect(identities.resolveActor('nobody.test')).rejects.toMatchObject({ code: 'handle_unresolved' })
    await expect(identities.resolveDid('did:plc:nobody')).rejects.toMatchObject({ code: 'did_unresolved' })
    state.isDown = true
    await expect(identities.resolveDid('did:plc:other')).rejects.toMatchObject({ code: 'unreachable' })
  })
})
