import type { Context } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import { AppViewError } from '../errors.ts'

const formBytesMax = 64 * 1024
/** Docker's credential helpers keep a refresh token as the password of this user; some clients send them so. */
export const nameOfTokens = '<token>'

/** What a client shows to be who it says. */
export type Credentials =
  | { kind: 'nobody' }
  | { kind: 'secret'; actor: string; secret: string }
  | { kind: 'refresh_token'; token: string }

/**
 * A request for a registry token, whichever way it came. `service` is not among it: tokens are for this registry
 * whatever name a client knows it by, so an alias in front of it breaks nobody, and no token is good elsewhere.
 */
export interface TokenRequest {
  /** As they were sent: several to a value, and several values. */
  scopes: readonly string[]
  credentials: Credentials
  /** Whom the client believes to be signed in as. */
  account: string | undefined
  /** What the client calls itself. */
  clientId: string
  /** Whether it asks for a refresh token. */
  isOffline: boolean
}

/**
 * GET, with Basic or without (docker login, skopeo, podman, crane, oras). Only the header is read for secrets: addresses
 * end up in logs. @throws {AppViewError} `login_failed` for a garbled header
 */
export function readQuery(c: Context<ServerEnv>): TokenRequest {
  const query = new URL(c.req.url).searchParams
  return { ...readCommon(query), credentials: readBasic(c.req.header('authorization')) }
}

/**
 * POST with an OAuth2 form (containerd; docker, BuildKit and podman once they were given a refresh token), RFC 6749 §4.3
 * and §6. @throws {AppViewError} `grant_unsupported`, `token_request_invalid`
 */
export async function readForm(c: Context<ServerEnv>): Promise<TokenRequest> {
  const [mediaType = ''] = (c.req.header('content-type') ?? '').split(';', 1)
  if (mediaType.trim().toLowerCase() !== 'application/x-www-form-urlencoded')
    throw invalid('send a form: application/x-www-form-urlencoded')
  const bytes = await collectBytes(c.env.incoming, formBytesMax).catch((cause: unknown) => {
    if (cause instanceof ByteLimitError) throw invalid(`a form has at most ${formBytesMax} bytes`)
    throw cause
  })
  const form = new URLSearchParams(new TextDecoder().decode(bytes))
  return { ...readCommon(form), credentials: readGrant(form) }
}

function readCommon(parameters: URLSearchParams): Omit<TokenRequest, 'credentials'> {
  return {
    scopes: parameters.getAll('scope'),
    account: parameters.get('account') ?? undefined,
    clientId: parameters.get('client_id') ?? '',
    isOffline: parameters.get('offline_token') === 'true' || parameters.get('access_type') === 'offline',
  }
}

function readGrant(form: URLSearchParams): Credentials {
  const grant = readOnce(form, 'grant_type')
  if (grant === undefined) throw invalid('grant_type is missing')
  if (grant === 'refresh_token') {
    const token = readOnce(form, 'refresh_token')
    if (token === undefined) throw invalid('refresh_token is missing')
    return { kind: 'refresh_token', token }
  }
  if (grant === 'password') {
    const [actor, secret] = [readOnce(form, 'username') ?? '', readOnce(form, 'password') ?? '']
    return actor === '' && secret === '' ? { kind: 'nobody' } : { kind: 'secret', actor, secret }
  }
  throw new AppViewError(
    'grant_unsupported',
    `grant_type ${JSON.stringify(grant.slice(0, 100))} is not offered; use password or refresh_token`,
  )
}

/** RFC 6749 §3.2: a parameter without a value was not sent, and none is sent twice. */
function readOnce(form: URLSearchParams, name: string): string | undefined {
  const [value, ...more] = form.getAll(name)
  if (more.length > 0) throw invalid(`${name} was sent twice`)
  return value === '' ? undefined : value
}

/** The user and password of a Basic header (RFC 7617). */
function readBasic(header: string | undefined): Credentials {
  if (header === undefined) return { kind: 'nobody' }
  const [scheme = '', encoded = ''] = header.split(' ', 2)
  if (scheme.toLowerCase() !== 'basic') return { kind: 'nobody' }
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  // A DID holds colons itself, which RFC 7617 has no room for: it is known by its form.
  const [, actor, secret] = /^(did:[a-z0-9]+:[A-Za-z0-9._%-]+|[^:]*):(.*)$/s.exec(text) ?? []
  if (actor === undefined || secret === undefined)
    throw new AppViewError('login_failed', 'the Authorization header is not Basic user:password')
  return actor === nameOfTokens ? { kind: 'refresh_token', token: secret } : { kind: 'secret', actor, secret }
}

const invalid = (message: string) => new AppViewError('token_request_invalid', message)
