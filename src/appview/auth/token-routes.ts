import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import { parseScopes } from '../../protocol/oci/scope.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import { renderOciError, toOciError } from '../registry/errors.ts'
import { grantScopes } from '../services/registry-grants.ts'
import { tokenLifetimeSeconds } from '../services/registry-tokens.ts'

const formBytesMax = 64 * 1024

type Needs = Pick<AppContext, 'registryLogins' | 'registryTokens' | 'repositories' | 'log'>

interface TokenRequest {
  scopes: readonly string[]
  credentials: { actor: string; password: string } | undefined
}

/**
 * Docker's token endpoint, in both its shapes: GET with Basic (docker, skopeo, podman, crane, oras) and POST with an
 * OAuth2 form (containerd; docker after it was given a refresh token). Without credentials the token is anonymous.
 */
export function mountTokenRoutes(app: Hono<ServerEnv>, needs: Needs): void {
  app.get('/auth/token', (c) => answer(c, needs, async () => fromQuery(c)))
  app.post('/auth/token', (c) => answer(c, needs, async () => fromForm(c)))
}

async function answer(
  c: Context<ServerEnv>,
  needs: Needs,
  read: () => Promise<TokenRequest>,
): Promise<Response> {
  try {
    const { scopes, credentials } = await read()
    const address = c.env.incoming.socket.remoteAddress ?? ''
    const account =
      credentials && (await needs.registryLogins.logIn(credentials.actor, credentials.password, address))
    const access = await grantScopes(needs.repositories, parseScopes(scopes), account?.did)
    const { token, issuedAt } = await needs.registryTokens.mint({ did: account?.did, access })
    return Response.json(
      { token, access_token: token, expires_in: tokenLifetimeSeconds, issued_at: issuedAt.toISOString() },
      { headers: { 'cache-control': 'no-store' } },
    )
  } catch (error) {
    return renderFailure(c, needs, error)
  }
}

function renderFailure(c: Context<ServerEnv>, { log }: Needs, error: unknown): Response {
  const requestId = c.get('requestId')
  if (error instanceof AppViewError && error.code === 'grant_unsupported') {
    // RFC 6749 §5.2; clients that try a grant first go on with Basic after this.
    const body = { error: 'unsupported_grant_type', error_description: error.message }
    return Response.json(body, { status: 400, headers: { 'cache-control': 'no-store' } })
  }
  const { status } = toOciError(error, requestId)
  if (status === 500) log.error({ err: error, requestId }, 'a token request failed')
  const challenge: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="ATCR"' } : {}
  return renderOciError(error, requestId, { ...challenge, 'cache-control': 'no-store' })
}

function fromQuery(c: Context<ServerEnv>): TokenRequest {
  const scopes = new URL(c.req.url).searchParams.getAll('scope')
  return { scopes, credentials: basicCredentials(c.req.header('authorization')) }
}

async function fromForm(c: Context<ServerEnv>): Promise<TokenRequest> {
  const bytes = await collectBytes(c.env.incoming, formBytesMax).catch((error: unknown) => {
    if (error instanceof ByteLimitError) throw new AppViewError('grant_unsupported', 'the form is too long')
    throw error
  })
  const form = new URLSearchParams(new TextDecoder().decode(bytes))
  const scopes = form.getAll('scope')
  const grant = form.get('grant_type')
  if (grant === 'password') {
    const [actor, password] = [form.get('username') ?? '', form.get('password') ?? '']
    return { scopes, credentials: actor === '' && password === '' ? undefined : { actor, password } }
  }
  throw new AppViewError(
    'grant_unsupported',
    `grant_type ${JSON.stringify(grant)} is not offered; use password`,
  )
}

/** The user and password of a Basic header (RFC 7617). @throws {AppViewError} `login_failed` for one that is garbled */
function basicCredentials(header: string | undefined): TokenRequest['credentials'] {
  if (header === undefined) return undefined
  const [scheme = '', encoded = ''] = header.split(' ', 2)
  if (scheme.toLowerCase() !== 'basic') return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  // A DID holds colons itself, which RFC 7617 has no room for: it is known by its form.
  const [, actor, password] = /^(did:[a-z0-9]+:[A-Za-z0-9._%-]+|[^:]*):(.*)$/s.exec(text) ?? []
  if (actor === undefined || password === undefined) {
    throw new AppViewError('login_failed', 'the Authorization header is not Basic user:password')
  }
  return { actor, password }
}
