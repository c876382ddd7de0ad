import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { NodeSavedSession } from '@atproto/oauth-client-node'
import { afterEach, beforeEach, expect, test } from 'vitest'

import { AtprotoError } from './errors.ts'
import { createOAuthClient, missingScopes, type OAuthClientOptions } from './oauth-client.ts'
import { OAuthMemorySessions, OAuthMemoryStore } from './oauth-memory-store.ts'
import { oauthOrigin } from './oauth-origin.ts'
import type { Fetch } from './outbound-fetch.ts'

let folder: string
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'atcr-oauth-'))))
afterEach(() => rm(folder, { recursive: true }))

const now = () => new Date('2026-01-01T00:00:00Z')
const nobody: Fetch = async () => new Response('{}', { status: 404 })

function options(over: Partial<OAuthClientOptions> = {}): OAuthClientOptions {
  const limits = { now, lifetimeSeconds: 600, entryCountMax: 10 }
  return {
    publicUrl: 'https://hold.example.com',
    clientName: 'hold.example.com',
    scope: 'atproto',
    redirectPath: '/admin/oauth/callback',
    keyFile: join(folder, 'oauth.key'),
    stores: { states: new OAuthMemoryStore(limits), sessions: new OAuthMemorySessions(limits) },
    fetch: nobody,
    plcUrl: 'https://plc.example.com',
    handleResolverUrl: 'https://pds.example.com',
    allowHttp: false,
    now,
    ...over,
  }
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  return error instanceof AtprotoError ? error.code : String(error)
}

test('on https it is a confidential client with a key of its own, the same after a restart', async () => {
  const client = await createOAuthClient(options())
  expect(client.origin).toBe('https://hold.example.com')
  expect(client.documents?.metadata).toMatchObject({
    client_id: 'https://hold.example.com/oauth/client-metadata.json',
    redirect_uris: ['https://hold.example.com/admin/oauth/callback'],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks_uri: 'https://hold.example.com/oauth/jwks.json',
    dpop_bound_access_tokens: true,
  })
  const { keys } = JSON.parse(JSON.stringify(client.documents?.jwks)) as { keys: Record<string, string>[] }
  expect(keys).toHaveLength(1)
  expect(keys[0]).toMatchObject({ kty: 'EC', crv: 'P-256' })
  expect(keys[0]).not.toHaveProperty('d')
  expect((await stat(join(folder, 'oauth.key'))).mode & 0o777).toBe(0o600)
  const again = await createOAuthClient(options())
  expect(again.documents?.jwks).toEqual(client.documents?.jwks)
})

test('on loopback it is a public client that hosts nothing and comes back to 127.0.0.1', async () => {
  const client = await createOAuthClient(options({ publicUrl: 'http://localhost:8080' }))
  expect(client.origin).toBe('http://127.0.0.1:8080')
  expect(client.documents).toBeUndefined()
  await expect(stat(join(folder, 'oauth.key'))).rejects.toThrow('ENOENT')
})

test.each([
  ['http://localhost:8080', 'http://127.0.0.1:8080'],
  ['http://127.0.0.1', 'http://127.0.0.1'],
  ['http://[::1]:80', 'http://[::1]'],
  ['https://hold.example.com:8443/', 'https://hold.example.com:8443'],
])('logins at %s begin and end at %s', (publicUrl, origin) => {
  expect(oauthOrigin(new URL(publicUrl))).toBe(origin)
})

test('an address that no server takes for a client is refused with the reason', async () => {
  for (const publicUrl of ['https://192.0.2.1', 'https://hold.local'])
    expect(await codeOf(createOAuthClient(options({ publicUrl })))).toBe('address_refused')
})

test('scopes that a server dropped are seen; a permission set is not looked for by its name', () => {
  expect(missingScopes('atproto repo:io.atcr.hold', 'atproto')).toEqual(['repo:io.atcr.hold'])
  expect(missingScopes('atproto include:io.atcr.push', 'repo:io.atcr.tag atproto')).toEqual([])
})

test('failures have codes: unknown people, servers that do not answer, logins that were never begun', async () => {
  const client = await createOAuthClient(options())
  expect(await codeOf(client.authorize('nobody.example.com', 's'))).toBe('handle_unresolved')
  expect(await codeOf(client.authorize('did:plc:ewvi7nxzyoun6zhxrhs64oiz', 's'))).toBe('did_unresolved')
  expect(await codeOf(client.authorize('https://pds.example.com', 's'))).toBe('unreachable')
  expect(await codeOf(client.finish(new URLSearchParams('state=forged&code=c')))).toBe('login_unknown')
  expect(await codeOf(client.finish(new URLSearchParams()))).toBe('login_unknown')
  expect(await codeOf(client.restore('did:plc:ewvi7nxzyoun6zhxrhs64oiz'))).toBe('auth_failed')
})

test.each(['%00', 'a%00b', 'x'.repeat(129), 'ü', 'a b'])(
  'what cannot be a state is not looked up: %s',
  async (state) => {
    const looked: string[] = []
    const { stores } = options()
    const states = { get: (key: string) => void looked.push(key), set: () => undefined, del: () => undefined }
    const client = await createOAuthClient(options({ stores: { ...stores, states } }))
    expect(await codeOf(client.finish(new URLSearchParams(`state=${state}&code=c`)))).toBe('login_unknown')
    expect(looked).toEqual([])
  },
)

test('what is sent to a server of logins has the time of PDSes, documents have that of documents', async () => {
  const issuer = 'https://pds.example.com'
  const metadata = {
    resource: issuer,
    authorization_servers: [issuer],
    issuer,
    authorization_endpoint: `${issuer}/oauth/authorize`,
    token_endpoint: `${issuer}/oauth/token`,
    pushed_authorization_request_endpoint: `${issuer}/oauth/par`,
    token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ['ES256'],
    response_types_supported: ['code'],
    dpop_signing_alg_values_supported: ['ES256'],
    require_pushed_authorization_requests: true,
    client_id_metadata_document_supported: true,
  }
  const asked: string[] = []
  const recorded =
    (name: string, answer: () => Response): Fetch =>
    async (url, init) => {
      asked.push(`${name}: ${init?.method} ${new URL(new Request(url).url).pathname}`)
      return answer()
    }
  const fetch = recorded('fetch', () => Response.json(metadata))
  const pdsFetch = recorded('pdsFetch', () => Response.json({ request_uri: 'urn:x', expires_in: 60 }))
  const client = await createOAuthClient(options({ fetch, pdsFetch }))
  await client.authorize(issuer, 's')
  expect(asked).toEqual([
    'fetch: GET /.well-known/oauth-protected-resource',
    'fetch: GET /.well-known/oauth-authorization-server',
    'pdsFetch: POST /oauth/par',
  ])
})

test('tokens are replaced only where they are still the same', async () => {
  const store = new OAuthMemorySessions({ now, lifetimeSeconds: 60, entryCountMax: 2 })
  const tokens = (access: string) => ({ tokenSet: { access_token: access } }) as NodeSavedSession
  store.set('did:plc:a', tokens('1'))
  expect(await store.replace('did:plc:a', tokens('0'), tokens('2'))).toBe(false)
  expect(await store.replace('did:plc:a', tokens('1'), tokens('2'))).toBe(true)
  expect(store.get('did:plc:a')).toEqual(tokens('2'))
  expect(await store.replace('did:plc:a', tokens('2'), undefined)).toBe(true)
  expect(await store.replace('did:plc:a', tokens('2'), tokens('3'))).toBe(false)
  expect(store.get('did:plc:a')).toBeUndefined()
})

test('the memory store forgets the old and the too many', () => {
  let time = now()
  const store = new OAuthMemoryStore<string>({ now: () => time, lifetimeSeconds: 60, entryCountMax: 2 })
  for (const key of ['a', 'b', 'c']) store.set(key, key)
  expect(['a', 'b', 'c'].map((key) => store.get(key))).toEqual([undefined, 'b', 'c'])
  time = new Date(time.getTime() + 60_000)
  expect(store.get('c')).toBeUndefined()
})
