import type { Context, Hono } from 'hono'

import { AtprotoError } from '../../atproto/errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { ociErrorBody } from '../../protocol/oci/errors.ts'
import { formatScope, parseScopes } from '../../protocol/oci/scope.ts'
import type { AppContext } from '../context.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import { ociErrorAnswer, toOciError } from '../registry/errors.ts'
import { grantScopes } from '../services/registry-grants.ts'
import type { RegistryLogin } from '../services/registry-logins.ts'
import { tokenLifetimeSeconds } from '../services/registry-tokens.ts'
import { nameOfTokens, readForm, readQuery, type Credentials, type TokenRequest } from './token-request.ts'

type Needs = Pick<
  AppContext,
  | 'identities'
  | 'registryLogins'
  | 'refreshTokens'
  | 'registryTokens'
  | 'repositories'
  | 'holdPreparations'
  | 'sailorSetups'
  | 'limits'
  | 'log'
>

/**
 * Docker's token endpoint, in both its shapes: GET with Basic and POST with an OAuth2 form (Distribution, "Token
 * authentication" and "OAuth2 token authentication"). Without credentials the token is anonymous. What may not be granted
 * is left out of the token; whoever needs it is refused where he uses it.
 */
export function mountTokenRoutes(app: Hono<ServerEnv>, needs: Needs): void {
  app.get('/auth/token', (c) => answer(c, needs, () => readQuery(c)))
  app.post('/auth/token', (c) => answer(c, needs, () => readForm(c)))
}

async function answer(
  c: Context<ServerEnv>,
  needs: Needs,
  read: () => TokenRequest | Promise<TokenRequest>,
): Promise<Response> {
  try {
    const waitSeconds = await needs.limits.ofAddress('token_requests', clientAddressOf(c))
    if (waitSeconds !== undefined)
      throw new AppViewError('rate_limited', `too many tokens were asked for from your network; try again in ${waitSeconds} s`, { retryAfterSeconds: waitSeconds }) // prettier-ignore
    const request = await read()
    const login = await logIn(needs, request.credentials, clientAddressOf(c))
    await checkAccount(needs, request, login?.did)
    const refreshToken = login && (await findRefreshToken(needs, request, login))
    const access = await grantScopes(needs.repositories, parseScopes(request.scopes), login?.did)
    const { token, issuedAt } = await needs.registryTokens.mint({ did: login?.did, access })
    if (login?.isNew === true) needs.sailorSetups.begin(login.did)
    if (login !== undefined) needs.holdPreparations.begin(login.did, access)
    return Response.json(
      {
        token,
        access_token: token,
        expires_in: tokenLifetimeSeconds,
        issued_at: issuedAt.toISOString(),
        scope: access.map(formatScope).join(' '),
        ...(refreshToken !== undefined && { refresh_token: refreshToken }),
      },
      { headers: uncached },
    )
  } catch (error) {
    return renderFailure(c, needs, error)
  }
}

const uncached = { 'cache-control': 'no-store' }

/** Who shows these, and by what; nobody for an anonymous token. @throws {AppViewError} `login_failed`, … */
async function logIn(
  needs: Needs,
  credentials: Credentials,
  address: string,
): Promise<(RegistryLogin & { isNew: boolean }) | undefined> {
  if (credentials.kind === 'nobody') return undefined
  if (credentials.kind === 'refresh_token')
    return { ...(await needs.refreshTokens.redeem(credentials.token, address)), isNew: false }
  return needs.registryLogins.logIn(credentials.actor, credentials.secret, address)
}

/**
 * A client that believes to be somebody else must not get a token that acts as another account.
 * @throws {AppViewError} `login_failed`, `identity_unreachable`
 */
async function checkAccount(
  { identities }: Needs,
  { account, credentials }: TokenRequest,
  did: Did | undefined,
): Promise<void> {
  if (did === undefined || account === undefined || account === '' || account === did) return
  if (credentials.kind === 'secret' && credentials.actor.toLowerCase() === account.toLowerCase()) return
  if (credentials.kind === 'refresh_token' && account === nameOfTokens) return
  const named = await identities.resolveActor(account).catch((cause: unknown) => {
    if (!(cause instanceof AtprotoError)) throw cause
    if (cause.code !== 'unreachable') return undefined
    throw new AppViewError('identity_unreachable', 'could not look up the account', { cause })
  })
  if (named?.did !== did)
    throw new AppViewError('login_failed', 'account names another than the credentials are for')
}

/**
 * The refresh token of the answer. One that was shown is good for longer and goes back as it is (RFC 6749 §6 leaves it
 * to us): a client may have copies of it in several places.
 */
async function findRefreshToken(
  { refreshTokens }: Needs,
  { credentials, isOffline, clientId }: TokenRequest,
  login: RegistryLogin,
): Promise<string | undefined> {
  if (credentials.kind === 'refresh_token') return credentials.token
  return isOffline ? refreshTokens.create(login, clientId) : undefined
}

/** In the words of RFC 6749 §5.2, for clients that speak OAuth. */
const oauthErrors: Partial<Record<AppViewErrorCode, string>> = {
  login_failed: 'invalid_grant',
  grant_unsupported: 'unsupported_grant_type',
  token_request_invalid: 'invalid_request',
}

/**
 * A refusal in both forms, because clients read the registry's after either request. A wrong secret is 401 in both:
 * RFC 6749 asks for 400, which registry clients take for a fault of the server and do not tell the person about.
 */
function renderFailure(c: Context<ServerEnv>, { log }: Needs, error: unknown): Response {
  const requestId = c.get('requestId')
  const oauthError = error instanceof AppViewError ? oauthErrors[error.code] : undefined
  const failure = toOciError(error, requestId)
  if (failure.status === 500) log.error({ err: error, requestId }, 'a token request failed')
  const { status, headers } = ociErrorAnswer(error, requestId, uncached)
  const challenge: Record<string, string> = status === 401 ? { 'www-authenticate': 'Basic realm="ATCR"' } : {}
  const oauth = oauthError && { error: oauthError, error_description: failure.message }
  return Response.json(
    { ...ociErrorBody(failure), ...oauth },
    { status, headers: { ...headers, ...challenge } },
  )
}
