import { P256Keypair, Secp256k1Keypair, type Keypair } from '@atproto/crypto'
import { describe, expect, test } from 'vitest'

import { systemNow } from '../lib/clock.ts'
import type { Identity } from './identity.ts'
import { ServiceAuth } from './service-auth.ts'
import type { Did } from './syntax.ts'

const alice: Did = 'did:plc:alice'
const hold: Did = 'did:web:hold.example'
const lxm = 'io.atcr.hold.initiateUpload'
const nowSeconds = () => Math.floor(Date.now() / 1000)

function identityWith(key: Keypair): Identity {
  const publicKeyMultibase = key.did().slice('did:key:'.length)
  const method = { id: `${alice}#atproto`, type: 'Multikey', controller: alice, publicKeyMultibase }
  return { did: alice, handle: undefined, pdsUrl: undefined, holdUrl: undefined, document: { id: alice, verificationMethod: [method] } } // prettier-ignore
}

async function token(
  key: Keypair,
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
) {
  const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const now = nowSeconds()
  const payload = { iss: alice, aud: hold, lxm, iat: now, exp: now + 60, jti: crypto.randomUUID(), ...claims }
  const signed = `${encode({ typ: 'JWT', alg: key.jwtAlg, ...header })}.${encode(payload)}`
  return `${signed}.${Buffer.from(await key.sign(Buffer.from(signed))).toString('base64url')}`
}

function verifierFor(...identities: Identity[]) {
  const seen = new Set<string>()
  let resolutions = 0
  const auth = new ServiceAuth({
    audiences: [hold, `${hold}#atcr_hold`],
    maxAgeSeconds: 300,
    now: systemNow,
    replayStore: { check: async ({ jti }) => !seen.has(jti) && Boolean(seen.add(jti)) },
    identities: {
      resolveDid: async () => identities[Math.min(resolutions++, identities.length - 1)] as Identity,
    },
  })
  return auth
}

describe.each([
  ['ES256K', () => Secp256k1Keypair.create()],
  ['ES256', () => P256Keypair.create()],
])('%s', (_algorithm, create) => {
  test('a good token names its issuer, once', async () => {
    const key = await create()
    const auth = verifierFor(identityWith(key))
    const good = await token(key)
    expect(await auth.verify(good, [lxm])).toEqual({ did: alice, lxm })
    await expect(auth.verify(good, [lxm])).rejects.toMatchObject({ code: 'auth_failed' })
    expect(await auth.verify(await token(key, { aud: `${hold}#atcr_hold` }), [lxm])).toMatchObject({
      did: alice,
    })
  })

  test('a key rotated since the document was cached is looked up once more', async () => {
    const [old, present] = [await create(), await create()]
    const auth = verifierFor(identityWith(old), identityWith(present))
    expect(await auth.verify(await token(present), [lxm])).toMatchObject({ did: alice })
  })

  const now = nowSeconds()
  test.each<[string, Record<string, unknown>, Record<string, unknown>?]>([
    ['another audience', { aud: 'did:web:other.example' }],
    ['another method', { lxm: 'io.atcr.hold.abortUpload' }],
    ['no method', { lxm: undefined }],
    ['no token id', { jti: undefined }],
    ['expired beyond the skew', { iat: now - 200, exp: now - 75 }],
    ['made in the future beyond the skew', { iat: now + 75, exp: now + 135 }],
    ['not to be used yet, beyond the skew', { nbf: now + 75 }],
    ['ten years', { exp: now + 315_360_000 }],
    ['no algorithm', {}, { alg: 'none' }],
    ['an access token', {}, { typ: 'at+jwt' }],
    ['a foreign key id', {}, { kid: '#other' }],
  ])('refuses %s', async (_name, claims, header) => {
    const key = await create()
    const bad = await token(key, claims, header)
    await expect(verifierFor(identityWith(key)).verify(bad, [lxm])).rejects.toMatchObject({
      code: 'auth_failed',
    })
  })

  test.each([
    ['just expired', { iat: now - 100, exp: now - 45 }],
    ['made by a clock that is ahead', { iat: now + 45, exp: now + 105 }],
  ])('accepts within the skew: %s', async (_name, claims) => {
    const key = await create()
    const good = await token(key, claims)
    expect(await verifierFor(identityWith(key)).verify(good, [lxm])).toMatchObject({ did: alice })
  })

  test('refuses another key, and garbage', async () => {
    const [key, other] = [await create(), await create()]
    const auth = verifierFor(identityWith(key))
    for (const bad of [await token(other), '', 'a', 'a.b.c', '....', `${'x'.repeat(20_000)}.y.z`]) {
      await expect(auth.verify(bad, [lxm])).rejects.toMatchObject({ code: 'auth_failed' })
    }
  })
})
