import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

import { type RegistryUnderTest, sha256 } from '../registry-under-test.ts'
import type { Row } from './row.ts'

type Json = Record<string, unknown>

const base64url = (value: Json) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A real token of the owner's, taken apart. */
async function realToken(
  registry: RegistryUnderTest,
): Promise<{ header: Json; claims: Json; token: string }> {
  const { repository, owner } = registry.address
  const token = await registry.token([`${repository}:pull,push`], owner)
  const [header = '', claims = ''] = token.split('.')
  const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Json
  return { header: decode(header), claims: decode(claims), token }
}

function signed(header: Json, claims: Json, key: KeyObject): string {
  const input = `${base64url(header)}.${base64url(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

/** A request that only a good token opens. */
const tryToken = (registry: RegistryUnderTest, token: string) =>
  registry.send({
    method: 'GET',
    target: registry.path('tags/list'),
    headers: { Authorization: `Bearer ${token}` },
  })

/** A token that is the registry's own in all but the claims named. */
const withClaims = (name: string, change: (claims: Json) => Json): Row => ({
  name: `token: ${name}`,
  status: [401],
  codes: ['UNAUTHORIZED'],
  needs: ['tokens', 'signing key'],
  run: async (registry) => {
    const { header, claims } = await realToken(registry)
    return tryToken(registry, signed(header, { ...claims, ...change(claims) }, registry.signingKey()))
  },
  afterwards: refusal,
})

/** A token that somebody else made. */
const forged = (name: string, forge: (header: Json, claims: Json, token: string) => string): Row => ({
  name: `token: ${name}`,
  status: [401],
  codes: ['UNAUTHORIZED'],
  needs: ['tokens'],
  run: async (registry) => {
    const { header, claims, token } = await realToken(registry)
    return tryToken(registry, forge(header, claims, token))
  },
  afterwards: refusal,
})

const refusal: Row['afterwards'] = (_, answer) => {
  const challenge = answer.headers.get('www-authenticate') ?? ''
  if (!challenge.includes('error="invalid_token"'))
    throw new Error(`the challenge does not say why: ${challenge}`)
}

const { privateKey: otherKey, publicKey: otherPublicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
})
const jwk = otherPublicKey.export({ format: 'jwk' })
const seconds = () => Math.floor(Date.now() / 1000)

/** Statuses of a request that a token does not cover. */
const notCovered = { status: [401, 403], codes: ['UNAUTHORIZED', 'DENIED'] }

const put = (registry: RegistryUnderTest, repository: string, headers: Record<string, string>) =>
  registry.send({
    method: 'POST',
    target: registry.path('blobs/uploads/', repository),
    headers,
    body: '',
  })

const spoofed: Record<string, string>[] = [
  { Host: 'evil.example' },
  { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'https' },
  { Forwarded: 'host=evil.example;proto=https' },
]

/** Tokens that are none, are not enough, or are for something else. */
export const tokenRows: Row[] = [
  withClaims('expired', () => ({ exp: seconds() - 120, nbf: seconds() - 420, iat: seconds() - 420 })),
  withClaims('not yet valid', () => ({ nbf: seconds() + 3600, exp: seconds() + 7200 })),
  withClaims('wrong audience', () => ({ aud: 'registry.example.com' })),
  withClaims('wrong service', () => ({ iss: 'registry.example.com' })),
  withClaims('without an end', () => ({ exp: undefined })),

  forged('alg none', (header, claims) => `${base64url({ ...header, alg: 'none' })}.${base64url(claims)}.`),
  forged('alg None', (header, claims) => `${base64url({ ...header, alg: 'None' })}.${base64url(claims)}.`),
  forged('another key', (header, claims) => signed(header, claims, otherKey)),
  forged('embedded jwk', (header, claims) => signed({ ...header, jwk, kid: undefined }, claims, otherKey)),
  forged('embedded jwk and kid (CVE-2025-24976)', (header, claims) =>
    signed({ ...header, jwk }, claims, otherKey),
  ),
  forged('jku', (header, claims) => signed({ ...header, jku: 'http://127.0.0.1:1/keys' }, claims, otherKey)),
  forged('kid path', (header, claims) =>
    signed({ ...header, kid: '../../../../dev/null' }, claims, otherKey),
  ),
  forged('kid with a statement', (header, claims) =>
    signed({ ...header, kid: "' or 1=1--" }, claims, otherKey),
  ),
  forged('claims changed after signing', (header, claims, token) =>
    [base64url(header), base64url({ ...claims, sub: 'did:plc:other' }), token.split('.')[2]].join('.'),
  ),
  forged('signature cut off', (_header, _claims, token) => token.slice(0, -10)),
  forged('garbage', () => 'garbage'),
  forged('three dots', () => '...'),
  forged('ten thousand characters', () => 'a'.repeat(10_000)),
  {
    name: 'a password in place of a token',
    ...notCovered,
    needs: ['tokens'],
    run: (registry) => {
      const { owner } = registry.address
      const basic = Buffer.from(`${owner?.username}:${owner?.password}`).toString('base64')
      const headers = { Authorization: `Basic ${basic}` }
      return registry.send({ method: 'POST', target: registry.path('blobs/uploads/'), headers, body: '' })
    },
  },
  {
    name: 'no token',
    status: [401],
    codes: ['UNAUTHORIZED'],
    needs: ['tokens'],
    run: (registry) => put(registry, registry.repository, {}),
  },

  {
    name: 'wrong password',
    status: [401],
    codes: ['UNAUTHORIZED'],
    needs: ['tokens'],
    run: (registry) => {
      const username = registry.address.owner?.username ?? ''
      return registry.fetchToken([`${registry.repository}:pull`], {
        username,
        password: 'wrong-wrong-wrong-wrong',
      })
    },
    afterwards: refused401,
  },
  {
    name: 'unknown account',
    status: [401],
    codes: ['UNAUTHORIZED'],
    needs: ['tokens'],
    run: (registry) =>
      registry.fetchToken([`${registry.repository}:pull`], { username: 'nobody.test', password: 'x' }),
    afterwards: refused401,
  },

  {
    name: 'pull token used to push',
    ...notCovered,
    needs: ['tokens'],
    run: async (registry) => {
      const { repository, owner } = registry.address
      return put(registry, repository, await registry.bearer([`${repository}:pull`], owner))
    },
  },
  {
    name: 'pull token used to delete',
    ...notCovered,
    needs: ['tokens'],
    run: async (registry) => {
      const { repository, owner } = registry.address
      const headers = await registry.bearer([`${repository}:pull`], owner)
      return registry.send({ method: 'DELETE', target: registry.path('manifests/listed'), headers })
    },
  },
  {
    name: 'token for repository A used on B',
    ...notCovered,
    needs: ['tokens'],
    run: async (registry) => {
      const { repository, otherRepository, owner } = registry.address
      return put(registry, otherRepository, await registry.bearer([`${repository}:pull,push`], owner))
    },
  },
  {
    name: 'token for a repository whose name begins the same',
    ...notCovered,
    needs: ['tokens'],
    run: async (registry) => {
      const { repository, owner } = registry.address
      return put(registry, `${repository}-more`, await registry.bearer([`${repository}:pull,push`], owner))
    },
  },
  {
    name: 'anonymous token used to push',
    ...notCovered,
    needs: ['tokens'],
    run: async (registry) =>
      put(
        registry,
        registry.repository,
        await registry.bearer([`${registry.repository}:pull,push`], undefined),
      ),
  },
  ...(['POST', 'PUT', 'DELETE'] as const).map((method): Row => ({
    name: `writing to another owner's namespace, ${method}`,
    // The token endpoint narrows the scope, so that the refusal may be that of a token which does not cover it.
    ...notCovered,
    needs: ['tokens'],
    run: async (registry) => {
      const { repository, stranger } = registry.address
      const headers = await registry.bearer([`${repository}:pull,push,delete`], stranger)
      if (method === 'POST') return put(registry, repository, headers)
      return registry.send({
        method,
        target: registry.path('manifests/stolen'),
        headers: { ...headers, 'Content-Type': 'application/vnd.oci.image.manifest.v1+json' },
        ...(method === 'PUT' ? { body: JSON.stringify(await registry.imageManifest()) } : {}),
      })
    },
  })),
  ...(['from a repository that is none', 'from one that the token does not name'] as const).map(
    (name, index): Row => ({
      name: `mount of a blob that the source does not have, ${name}`,
      status: [202],
      needs: ['tokens'],
      run: async (registry) => {
        const { repository, otherRepository, owner } = registry.address
        const from = encodeURIComponent(index === 0 ? `${repository}-never-was` : repository)
        return registry.send({
          method: 'POST',
          target: registry.path(`blobs/uploads/?mount=${sha256('nowhere')}&from=${from}`, otherRepository),
          headers: await registry.bearer([`${otherRepository}:pull,push`], owner),
          body: '',
        })
      },
    }),
  ),
  {
    name: 'mount of a digest that is none',
    status: [202, 400],
    codes: ['DIGEST_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'POST',
        target: registry.path(`blobs/uploads/?mount=abc&from=${encodeURIComponent(registry.repository)}`),
        body: '',
      }),
  },
  {
    name: 'mount from a name that is none',
    status: [202, 400],
    codes: ['NAME_INVALID'],
    run: (registry) =>
      registry.sendAsOwner({
        method: 'POST',
        target: registry.path(`blobs/uploads/?mount=${sha256('x')}&from=${encodeURIComponent('../../x')}`),
        body: '',
      }),
  },

  ...spoofed.flatMap((headers): Row[] => {
    const name = Object.keys(headers).join(', ')
    const leadsHome: Row['afterwards'] = (_, answer) => {
      if ([...answer.headers].some(([, value]) => value.includes('evil.example'))) {
        throw new Error('the answer leads where the request said')
      }
    }
    return [
      {
        name: `spoofed ${name}: the challenge`,
        status: [401],
        codes: ['UNAUTHORIZED'],
        needs: ['tokens'],
        run: (registry) => registry.send({ method: 'GET', target: registry.path('tags/list'), headers }),
        afterwards: leadsHome,
      },
      {
        name: `spoofed ${name}: the upload`,
        status: [202],
        needs: ['tokens'],
        run: (registry) =>
          registry.sendAsOwner({
            method: 'POST',
            target: registry.path('blobs/uploads/'),
            headers,
            body: '',
          }),
        afterwards: leadsHome,
      },
    ]
  }),
]

function refused401(_: RegistryUnderTest, answer: { body: Buffer }): void {
  if (answer.body.toString().includes('wrong-wrong')) throw new Error('the answer repeats the password')
}
