import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { appViewPaths } from '../../src/appview/config.ts'
import { appViewScope } from '../../src/appview/services/oauth-scope.ts'
import { loadOrCreateOAuthKeys } from '../../src/atproto/oauth-key.ts'
import { BrowserTwin } from '../network/browser-twin.ts'
import { HttpsDoor } from '../network/https-door.ts'
import { findFreePort } from '../network/listening.ts'
import { OciClient } from '../network/oci-client.ts'
import { imageOfFiles } from '../network/sample-image.ts'
import { TestNetwork } from '../network/test-network.ts'
import { loginPath, signIn } from '../network/web-login.ts'

/** Goal: at a public name, behind https, the AppView proves by its key that it is itself; and then it can push. */

let door: HttpsDoor
let network: TestNetwork
let keyFile: string
let first: string
let second: string
beforeAll(async () => {
  const port = await findFreePort()
  door = await HttpsDoor.open({ hostname: 'appview.atcr.internal', port })
  network = await TestNetwork.create({
    ports: { appview: port },
    appview: { server: { base_url: door.url, client_name: 'Registry of the harbour' } },
  })
  keyFile = appViewPaths(network.appview.context.config, false).oauthKey
  ;[first, second] = [await newKey(`${keyFile}.1`), await newKey(`${keyFile}.2`)]
  await writeFile(keyFile, first + second, { mode: 0o600 })
})
const newKey = async (path: string) =>
  (await loadOrCreateOAuthKeys(path)).map(({ pem }) => `${pem}\n`).join('')
afterAll(async () => {
  await network[Symbol.asyncDispose]()
  await door[Symbol.asyncDispose]()
})

const json = async (path: string, headers: Record<string, string> = {}) => {
  const { status, body } = await new BrowserTwin(door.url).get(path, headers)
  expect(status).toBe(200)
  return JSON.parse(body) as Record<string, unknown>
}

test('its documents say who it is, whatever a request calls it', async () => {
  const requests: Record<string, string>[] = [
    {},
    { host: 'evil.example', 'x-forwarded-host': 'evil.example' },
  ]
  for (const headers of requests) {
    expect(await json('/oauth-client-metadata.json', headers)).toEqual({
      client_id: `${door.url}/oauth-client-metadata.json`,
      client_name: 'Registry of the harbour',
      client_uri: `${door.url}/`,
      redirect_uris: [`${door.url}/auth/oauth/callback`],
      scope: appViewScope,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      application_type: 'web',
      subject_type: 'public',
      authorization_signed_response_alg: 'RS256',
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      dpop_bound_access_tokens: true,
      jwks_uri: `${door.url}/oauth/jwks.json`,
    })
  }
  const { keys } = (await json('/oauth/jwks.json')) as { keys: object[] }
  expect(keys).toHaveLength(2)
  for (const key of keys) {
    expect(key).toMatchObject({ kty: 'EC', crv: 'P-256' })
    expect(key).not.toHaveProperty('d')
  }
})

test('somebody signs in, and an image is pushed and pulled with what the server granted', async () => {
  const { bob } = network.accounts
  const browser = new BrowserTwin(door.url)
  const back = await signIn(browser, bob, { next: '/u/bob.test' })
  expect([back.status, back.location]).toEqual([303, '/u/bob.test'])
  expect(back.headers['set-cookie']?.join('\n')).toMatch(
    /^__Host-atcr=[^;]+; .*Path=\/; HttpOnly; Secure; SameSite=Lax/m,
  )
  expect(door.asked).toContain('/oauth-client-metadata.json')
  expect(door.asked).toContain('/oauth/jwks.json')

  const client = await clientOf(bob.did, 'bob.test/app')
  const image = imageOfFiles({ 'hello.txt': 'by OAuth' })
  await client('PUT', image)
  expect((await new OciClient({ registryUrl: door.url }).pullManifest('bob.test/app', 'v1')).digest).toBe(
    image.digest,
  )
  expect(network.calls.count({ to: 'pds', path: '/xrpc/com.atproto.server.createSession' })).toBe(0)
  await network.settled()
  expect(network.calls.count({ to: 'hold', path: '/xrpc/io.atcr.hold.notifyManifest' })).toBe(1)
})

test('keys are changed without ending a session: the new one is published first, then signs', async () => {
  const { alice, bob } = network.accounts
  await signIn(new BrowserTwin(door.url), bob)
  const published = (await json('/oauth/jwks.json'))['keys']
  await writeFile(keyFile, [second, first].join(''))
  await network.restartAppView()
  expect((await json('/oauth/jwks.json'))['keys']).toEqual((published as object[]).toReversed())
  const { oauthLogins } = network.appview.context
  await signIn(new BrowserTwin(door.url), alice)
  for (const { did } of [bob, alice]) {
    const session = await oauthLogins.session(did)
    expect((await session.fetchHandler('/xrpc/com.atproto.server.getSession', {})).status).toBe(200)
  }
  // Without the key a session was begun with it is over, and says so.
  await writeFile(keyFile, second)
  await network.restartAppView()
  const { context } = network.appview
  await expect(context.oauthLogins.session(bob.did)).rejects.toThrow(
    `sign in again at ${door.url}${loginPath}`,
  )
  expect((await context.oauthLogins.session(alice.did)).did).toBe(alice.did)
})

test('a file without a fitting key is refused with its name', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  for (const text of ['nonsense', privateKey.export({ type: 'pkcs8', format: 'pem' }) as string]) {
    await writeFile(keyFile, text)
    await network.restartAppView()
    await expect(network.appview.context.oauthLogins.documents()).rejects.toThrow(keyFile)
  }
})

/** Pushes as an account by a registry token, without a password. */
async function clientOf(did: `did:${string}:${string}`, repository: string) {
  const access = [{ type: 'repository', name: repository, actions: ['pull', 'push'] }]
  const { token } = await network.appview.context.registryTokens.mint({ did, access })
  return async (method: 'PUT', image: ReturnType<typeof imageOfFiles>): Promise<void> => {
    const authorization = `Bearer ${token}`
    for (const blob of image.blobs) {
      const begun = await fetch(`${door.url}/v2/${repository}/blobs/uploads/`, {
        method: 'POST',
        headers: { authorization },
      })
      expect(begun.status).toBe(202)
      const url = new URL(begun.headers.get('location') ?? '', door.url)
      url.searchParams.set('digest', blob.digest)
      const body = Buffer.concat(await Array.fromAsync(blob.bytes()))
      const headers = { authorization, 'content-type': 'application/octet-stream' }
      expect((await fetch(url, { method, headers, body })).status).toBe(201)
    }
    const headers = { authorization, 'content-type': image.mediaType }
    const body = new Uint8Array(image.bytes)
    const stored = await fetch(`${door.url}/v2/${repository}/manifests/v1`, { method, headers, body })
    expect([stored.status, await stored.text()]).toEqual([201, ''])
  }
}
