import {
  buildAtprotoLoopbackClientMetadata,
  JoseKey,
  requestLocalLock,
  type NodeOAuthClientOptions,
  type NodeSavedStateStore,
  type OAuthClientMetadataInput,
} from '@atproto/oauth-client-node'

import type { Now } from '../lib/clock.ts'
import { KeyedLocks } from '../lib/keyed-locks.ts'
import { AtprotoError } from './errors.ts'
import { loginEndFailure, loginStartFailure } from './oauth-failures.ts'
import { loadOrCreateOAuthKeys } from './oauth-key.ts'
import { OAuthMemoryStore } from './oauth-memory-store.ts'
import { oauthOrigin } from './oauth-origin.ts'
import { OAuthPdsSession, TokenClient, type OAuthLock } from './oauth-session.ts'
import type { OAuthSessionStore } from './oauth-tokens.ts'
import type { Fetch } from './outbound-fetch.ts'
import type { PdsSession } from './pds-session.ts'
import type { Did } from './syntax.ts'

/** How many servers are remembered, and for how long what they say about themselves. */
const serverCountMax = 1000
const metadataSeconds = 600
/** A nonce that is too old by then costs the one request that getting the first one costs. */
const nonceSeconds = 3600
/** What may be the state of a login: ours is random. Anything else need not be looked up. */
const stateForm = /^[\w-]{1,128}$/

/** Logins under way, and sessions. What is in them acts as the account: in memory, or sealed. */
export interface OAuthStores {
  states: NodeSavedStateStore
  sessions: OAuthSessionStore
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
  /** Where its documents are served; one host can be several clients. Default: below `/oauth`. */
  documentPaths?: OAuthDocumentPaths
  /** P-256 key, made at first use; needed with https. More than one: see {@link loadOrCreateOAuthKeys}. */
  keyFile?: string
  stores: OAuthStores
  /** Held while tokens are renewed; to be shared by all who share the store of sessions. Default: in this process. */
  lock?: OAuthLock
  /** The guarded one: handles, DIDs and servers are chosen by strangers. */
  fetch: Fetch
  /**
   * The guarded one for what is asked of PDSes, with other limits of time and size; also for what is sent to their
   * authorization servers: a code or refresh token is good once, so giving up early loses it. Default: `fetch`.
   */
  pdsFetch?: Fetch
  plcUrl: string
  /** A PDS to ask for handles instead of DNS and HTTPS. */
  handleResolverUrl: string | null
  /** Lets servers be on plain http: development only. */
  allowHttp: boolean
  now: Now
}

export interface OAuthDocumentPaths {
  metadataPath: string
  jwksPath: string
}

/** What a program on https has to serve for others to know it. */
export interface OAuthDocuments extends OAuthDocumentPaths {
  metadata: object
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
   * Takes them back with the query of the redirect. A login ends once. `admit` sees the state first, and may throw: then
   * nothing was asked of the server, and the login can still be ended by whom it admits.
   * @throws {AtprotoError} `login_denied`, `login_unknown`, `scope_missing`, `auth_failed`, `unreachable`
   */
  finish(
    query: URLSearchParams,
    admit?: (state: string) => void,
  ): Promise<{ session: PdsSession; state: string }>
  /**
   * The session of an account that signed in before. No network until it is used, unless it has to be ended.
   * @throws {AtprotoError} `auth_failed` when there is none, `scope_missing` when less was granted than is wanted by now:
   *   then it is ended
   */
  restore(did: Did): Promise<PdsSession>
  /** Ends the session of an account, at its server too if that can be reached. */
  revoke(did: Did): Promise<void>
}

/**
 * An OAuth client as the AT Protocol has them: a public one on loopback, else a confidential one.
 * @throws {AtprotoError} `address_refused` when the public URL cannot be that of a client (an IP address, `.local`)
 */
export async function createOAuthClient(options: OAuthClientOptions): Promise<OAuthClient> {
  const { stores, fetch, scope } = options
  const publicUrl = new URL(options.publicUrl)
  const origin = oauthOrigin(publicUrl)
  const isLoopback = publicUrl.protocol === 'http:'
  const client = await newClient(options, { origin, isLoopback })
  const locks = new KeyedLocks()
  const needs = {
    client,
    sessions: stores.sessions,
    lock: options.lock ?? ((did, action) => locks.run(did, action)),
    fetch: plainCalls(options.pdsFetch ?? fetch),
    now: options.now,
  }
  return {
    origin,
    documents: isLoopback
      ? undefined
      : { ...documentPaths(options), metadata: client.clientMetadata, jwks: client.jwks },
    authorize: (actor, state) =>
      client.authorize(actor, { state }).catch((error: unknown) => {
        throw loginStartFailure(error, actor)
      }),
    finish: async (query, admit) => {
      const name = query.get('state') ?? ''
      if (!stateForm.test(name)) throw new AtprotoError('login_unknown', 'this is the state of no login')
      const saved = await stores.states.get(name)
      if (saved !== undefined) admit?.(saved.appState ?? '')
      const { session, state } = await client.callback(query).catch((error: unknown) => {
        throw loginEndFailure(error)
      })
      return { session: await restore(needs, session.did, scope), state: state ?? '' }
    },
    restore: (did) => restore(needs, did, scope),
    revoke: (did) => revoke(needs, did),
  }
}

async function newClient(
  options: OAuthClientOptions,
  { origin, isLoopback }: { origin: string; isLoopback: boolean },
): Promise<TokenClient> {
  const { scope, stores, handleResolverUrl, now, pdsFetch = options.fetch } = options
  const clientMetadata = isLoopback
    ? buildAtprotoLoopbackClientMetadata({ scope, redirect_uris: [`${origin}${options.redirectPath}`] })
    : confidentialMetadata(origin, options)
  const keyset = isLoopback ? undefined : await loadKeys(options.keyFile)
  const servers = { now, lifetimeSeconds: metadataSeconds, entryCountMax: serverCountMax }
  const clientOptions: NodeOAuthClientOptions = {
    clientMetadata,
    ...(keyset === undefined ? {} : { keyset }),
    stateStore: stores.states,
    sessionStore: stores.sessions,
    authorizationServerMetadataCache: new OAuthMemoryStore(servers),
    protectedResourceMetadataCache: new OAuthMemoryStore(servers),
    // By server, for all accounts: in memory, because a nonce is no secret and a server gives a new one at any time.
    dpopNonceCache: new OAuthMemoryStore({ ...servers, lifetimeSeconds: nonceSeconds }),
    fetch: plainCalls((url, init) => (init?.method === 'POST' ? pdsFetch : options.fetch)(url, init)),
    plcDirectoryUrl: options.plcUrl,
    ...(handleResolverUrl === null ? {} : { handleResolver: handleResolverUrl }),
    allowHttp: options.allowHttp,
    requestLock: requestLocalLock,
  }
  try {
    return new TokenClient(clientOptions)
  } catch (cause) {
    const reason = 'servers sign people in only for hosts with a public name'
    throw new AtprotoError('address_refused', `${options.publicUrl} cannot be an OAuth client: ${reason}`, {
      cause,
    })
  }
}

function documentPaths({ documentPaths }: OAuthClientOptions): OAuthDocumentPaths {
  return documentPaths ?? { metadataPath: '/oauth/client-metadata.json', jwksPath: '/oauth/jwks.json' }
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

async function loadKeys(keyFile: string | undefined): Promise<JoseKey[]> {
  if (keyFile === undefined) throw new Error('an OAuth client on https needs a key file')
  const keys = await loadOrCreateOAuthKeys(keyFile)
  return Promise.all(keys.map(({ pem, kid }) => JoseKey.fromPKCS8(pem, 'ES256', kid)))
}

type SessionNeeds = ConstructorParameters<typeof OAuthPdsSession>[0]

async function restore(needs: SessionNeeds, did: Did, scope: string): Promise<PdsSession> {
  const { client, sessions } = needs
  const saved = await sessions.get(did)
  if (saved === undefined || !client.isClientOf(saved)) {
    if (saved !== undefined) await sessions.replace(did, saved, undefined)
    throw new AtprotoError('auth_failed', `there is no session with the PDS of ${did}`)
  }
  const missing = missingScopes(scope, saved.tokenSet.scope)
  if (missing.length === 0) return new OAuthPdsSession(needs, saved)
  await revoke(needs, did).catch(() => undefined) // Forgotten it is in any case.
  throw new AtprotoError('scope_missing', `the server did not grant ${missing.join(' ')}`)
}

/** Tokens are forgotten first and then given back, which takes its time: a login that comes in between keeps its own. */
async function revoke({ client, sessions }: SessionNeeds, did: Did): Promise<void> {
  let saved = await sessions.get(did)
  while (saved !== undefined && !(await sessions.replace(did, saved, undefined)))
    saved = await sessions.get(did)
  if (saved === undefined) return
  const server = await client.serverOf(saved)
  await server.revoke(saved.tokenSet.access_token)
}

/** What was asked for and not given. Permission sets (`include:`) come back as what they stand for, so they are not looked for. */
export function missingScopes(wanted: string, granted: string): string[] {
  const given = new Set(granted.split(' '))
  return wanted.split(' ').filter((scope) => !scope.startsWith('include:') && !given.has(scope))
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
