import {
  buildAtprotoLoopbackClientMetadata,
  JoseKey,
  NodeOAuthClient,
  requestLocalLock,
  type NodeOAuthClientOptions,
  type NodeSavedSessionStore,
  type NodeSavedStateStore,
  type OAuthClientMetadataInput,
  type OAuthSession,
} from '@atproto/oauth-client-node'

import { AtprotoError } from './errors.ts'
import { loginEndFailure, loginStartFailure } from './oauth-failures.ts'
import { loadOrCreateOAuthKey } from './oauth-key.ts'
import { oauthOrigin } from './oauth-origin.ts'
import type { Fetch } from './outbound-fetch.ts'
import type { PdsSession } from './pds-session.ts'
import { parseDid, type Did } from './syntax.ts'

/** Logins under way, and sessions. What is in them acts as the account: in memory, or sealed. */
export interface OAuthStores {
  states: NodeSavedStateStore
  sessions: NodeSavedSessionStore
}

export interface OAuthClientOptions {
  /** Where the program is reached. Over plain http only a browser on the same machine can complete a login. */
  publicUrl: string
  /** Shown to people at their server, where it can be: not for loopback clients. */
  clientName: string
  /** Space-separated, `atproto` among them. Servers drop what they do not know; that is found out at the end. */
  scope: string
  /** Where people come back to, below the public URL. */
  redirectPath: string
  /** Below which path its documents are served, so that one host can be several clients. Default `/oauth`. */
  documentsPath?: string
  /** P-256 key, made at first use; needed with https. */
  keyFile?: string
  stores: OAuthStores
  /** The guarded one: handles, DIDs and servers are chosen by strangers. */
  fetch: Fetch
  plcUrl: string
  /** A PDS to ask for handles instead of DNS and HTTPS. */
  handleResolverUrl: string | null
  /** Lets servers be on plain http: development only. */
  allowHttp: boolean
}

/** What a program on https has to serve for others to know it. */
export interface OAuthDocuments {
  metadataPath: string
  metadata: object
  jwksPath: string
  jwks: object
}

/** Signs people in at their own servers. */
export interface OAuthClient {
  /**
   * Where logins begin and end: the public origin, or 127.0.0.1 when that is loopback, because servers take no other
   * name for a program without https. Cookies belong here.
   */
  readonly origin: string
  /** To be served at their paths; undefined for a loopback client, which hosts nothing. */
  readonly documents: OAuthDocuments | undefined
  /**
   * Where to send somebody who is `actor` (handle, DID, or address of a PDS); `state` comes back with them.
   * @throws {AtprotoError} `handle_unresolved`, `did_unresolved`, `unreachable`, `rate_limited`, `auth_failed`, `bad_answer`
   */
  authorize(actor: string, state: string): Promise<URL>
  /**
   * Takes them back with the query of the redirect. A login ends once.
   * @throws {AtprotoError} `login_denied`, `login_unknown`, `scope_missing`, `auth_failed`, `unreachable`
   */
  finish(query: URLSearchParams): Promise<{ session: PdsSession; state: string }>
  /** The session of an account that signed in before. @throws {AtprotoError} `auth_failed` when it ended */
  restore(did: Did): Promise<PdsSession>
  /** Ends the session of an account, at its server too if that can be reached. */
  revoke(did: Did): Promise<void>
}

/**
 * An OAuth client as the AT Protocol has them: a public one on loopback, else a confidential one.
 * @throws {AtprotoError} `address_refused` when the public URL cannot be that of a client (an IP address, `.local`)
 */
export async function createOAuthClient(options: OAuthClientOptions): Promise<OAuthClient> {
  const { stores, plcUrl, handleResolverUrl, allowHttp, scope } = options
  const publicUrl = new URL(options.publicUrl)
  const origin = oauthOrigin(publicUrl)
  const isLoopback = publicUrl.protocol === 'http:'
  const clientMetadata = isLoopback
    ? buildAtprotoLoopbackClientMetadata({ scope, redirect_uris: [`${origin}${options.redirectPath}`] })
    : confidentialMetadata(origin, options)
  const keyset = isLoopback ? undefined : [await loadKey(options.keyFile)]
  const client = newClient(options.publicUrl, {
    clientMetadata,
    ...(keyset === undefined ? {} : { keyset }),
    stateStore: stores.states,
    sessionStore: stores.sessions,
    fetch: plainCalls(options.fetch),
    plcDirectoryUrl: plcUrl,
    ...(handleResolverUrl === null ? {} : { handleResolver: handleResolverUrl }),
    allowHttp,
    requestLock: requestLocalLock,
  })
  return {
    origin,
    documents: isLoopback
      ? undefined
      : { ...documentPaths(options), metadata: client.clientMetadata, jwks: client.jwks },
    authorize: (actor, state) =>
      client.authorize(actor, { state }).catch((error: unknown) => {
        throw loginStartFailure(error, actor)
      }),
    finish: (query) => finish(client, query, scope),
    restore: async (did) => {
      const session = await client.restore(did).catch((cause: unknown) => {
        throw new AtprotoError('auth_failed', `the session of ${did} has ended`, { cause })
      })
      return pdsSession(session)
    },
    revoke: (did) => client.revoke(did),
  }
}

function newClient(publicUrl: string, options: NodeOAuthClientOptions): NodeOAuthClient {
  try {
    return new NodeOAuthClient(options)
  } catch (cause) {
    const reason = 'servers sign people in only for hosts with a public name'
    throw new AtprotoError('address_refused', `${publicUrl} cannot be an OAuth client: ${reason}`, { cause })
  }
}

function documentPaths({ documentsPath = '/oauth' }: Pick<OAuthClientOptions, 'documentsPath'>) {
  return { metadataPath: `${documentsPath}/client-metadata.json`, jwksPath: `${documentsPath}/jwks.json` }
}

function confidentialMetadata(origin: string, options: OAuthClientOptions): OAuthClientMetadataInput {
  const { metadataPath, jwksPath } = documentPaths(options)
  return {
    client_id: `${origin}${metadataPath}`,
    client_name: options.clientName,
    client_uri: `${origin}/`,
    redirect_uris: [`${origin}${options.redirectPath}`],
    scope: options.scope,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    application_type: 'web',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    dpop_bound_access_tokens: true,
    jwks_uri: `${origin}${jwksPath}`,
  }
}

async function loadKey(keyFile: string | undefined): Promise<JoseKey> {
  if (keyFile === undefined) throw new Error('an OAuth client on https needs a key file')
  const { pem, kid } = await loadOrCreateOAuthKey(keyFile)
  return JoseKey.fromPKCS8(pem, 'ES256', kid)
}

async function finish(
  client: NodeOAuthClient,
  query: URLSearchParams,
  scope: string,
): Promise<{ session: PdsSession; state: string }> {
  const { session, state } = await client.callback(query).catch((error: unknown) => {
    throw loginEndFailure(error)
  })
  const { scope: granted } = await session.getTokenInfo(false)
  const missing = missingScopes(scope, granted)
  if (missing.length > 0) {
    await session.signOut()
    throw new AtprotoError('scope_missing', `the server did not grant ${missing.join(' ')}`)
  }
  return { session: await pdsSession(session), state: state ?? '' }
}

/** What was asked for and not given. Permission sets (`include:`) come back as what they stand for, so they are not looked for. */
export function missingScopes(wanted: string, granted: string): string[] {
  const given = new Set(granted.split(' '))
  return wanted.split(' ').filter((scope) => !scope.startsWith('include:') && !given.has(scope))
}

async function pdsSession(session: OAuthSession): Promise<PdsSession> {
  const { aud } = await session.getTokenInfo(false)
  return {
    did: parseDid(session.did),
    pdsUrl: aud,
    fetchHandler: (path, init) => session.fetchHandler(path, init),
  }
}

/**
 * The library calls with a `Request`, ours takes an address and what to do with it. Redirects stay what they are to
 * ours: errors.
 */
function plainCalls(fetch: Fetch): Fetch {
  return async (input, init) => {
    const request = new Request(input, init)
    const body = request.body === null ? {} : { body: await request.arrayBuffer() }
    return fetch(request.url, {
      method: request.method,
      headers: request.headers,
      signal: request.signal,
      ...body,
    })
  }
}
