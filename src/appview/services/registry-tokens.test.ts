import { createHmac, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'

import { exportJWK, SignJWT } from 'jose'
import { expect, test } from 'vitest'

import { selfSignedCertificate } from './certificate.ts'
import { keyId } from './registry-keys.ts'
import { RegistryTokens, type TokenHolder } from './registry-tokens.ts'

const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const alice: TokenHolder = {
  did: 'did:plc:alice',
  access: [{ type: 'repository', name: 'alice.test/app', actions: ['pull', 'push'] }],
}
let nowMs = Date.parse('2026-01-01T00:00:00Z')
const now = () => new Date(nowMs)
const keys = {
  current: async () => ({ id: keyId(key), privateKey: key }),
  find: async (id: string) => (id === keyId(key) ? createPublicKey(key) : undefined),
}
const tokens = new RegistryTokens({ keys, service: 'registry.test', now })

const forge = (claims: Record<string, unknown>, header: Record<string, unknown> = {}) =>
  new SignJWT({
    access: [],
    sub: '',
    iss: 'registry.test',
    aud: 'registry.test',
    nbf: 0,
    jti: 'x',
    ...claims,
  })
    .setProtectedHeader({ alg: 'RS256', kid: keyId(key), ...header })
    .setExpirationTime(Math.floor(nowMs / 1000) + 100)

const refusal = (token: string) =>
  tokens.verify(token).then(
    () => 'accepted',
    (error: { code?: string }) => error.code,
  )

test('a minted token names its holder, also from the cache', async () => {
  const { token } = await tokens.mint(alice)
  expect(await tokens.verify(token)).toEqual(alice)
  expect(await tokens.verify(token)).toEqual(alice)
})

test('an anonymous token has no DID', async () => {
  const { token } = await tokens.mint({ did: undefined, access: [] })
  expect(await tokens.verify(token)).toEqual({ did: undefined, access: [] })
})

test('a token expires after five minutes even when it is cached', async () => {
  const { token } = await tokens.mint(alice)
  await tokens.verify(token)
  nowMs += 301_000
  expect(await refusal(token)).toBe('token_invalid')
})

test('tokens of others are refused', async () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = await exportJWK(other.publicKey)
  expect(await refusal(await forge({}).sign(other.privateKey))).toBe('token_invalid')
  expect(await refusal(await forge({}, { jwk, kid: '../../dev/null' }).sign(other.privateKey))).toBe(
    'token_invalid',
  )
  expect(await refusal(await forge({ aud: 'other.test' }).sign(key))).toBe('token_invalid')
  expect(await refusal(await forge({ iss: 'other.test' }).sign(key))).toBe('token_invalid')
  expect(await refusal(await forge({ sub: 'root' }).sign(key))).toBe('token_invalid')
  expect(await refusal(await forge({}, { kid: 'other' }).sign(key))).toBe('token_invalid')
  expect(await refusal(await forge({}, { kid: undefined }).sign(key))).toBe('token_invalid')
  expect(await refusal(await forge({}).sign(key))).toBe('accepted')
})

test('alg none and HMAC with our public key are refused', async () => {
  const { token } = await tokens.mint(alice)
  const [, payload] = token.split('.') as [string, string]
  const head = (alg: string) => Buffer.from(JSON.stringify({ alg })).toString('base64url')
  expect(await refusal(`${head('none')}.${payload}.`)).toBe('token_invalid')
  const publicPem = key.export({ type: 'pkcs1', format: 'pem' })
  const mac = createHmac('sha256', publicPem)
    .update(`${head('HS256')}.${payload}`)
    .digest('base64url')
  expect(await refusal(`${head('HS256')}.${payload}.${mac}`)).toBe('token_invalid')
})

test('rubbish is refused, never an exception of another kind', async () => {
  for (const token of ['', '.', '..', 'a.b.c', '{}', 'x'.repeat(20_000), 'é.é.é']) {
    expect(await refusal(token)).toBe('token_invalid')
  }
})

test('the certificate belongs to the key', () => {
  const pem = selfSignedCertificate(key, { commonName: 'registry.test', notBefore: now(), days: 9000 })
  const certificate = new X509Certificate(pem)
  expect(certificate.checkPrivateKey(key)).toBe(true)
  expect(certificate.verify(certificate.publicKey)).toBe(true)
  expect(certificate.subject).toBe('CN=registry.test')
  expect(certificate.ca).toBe(true)
})

test('every certificate reads back, whatever its serial number', () => {
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey
  for (let count = 0; count < 1500; count++) {
    const pem = selfSignedCertificate(small, { commonName: 'registry.test', notBefore: now(), days: 1 })
    expect(new X509Certificate(pem).serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/)
  }
})
