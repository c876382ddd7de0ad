import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities, Identity } from '../../atproto/identity.ts'
import type { AppPasswordTokens, PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { deletePdsSession, findPdsSession, putPdsSession } from '../db/pds-sessions.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import type { PdsLogin } from '../ports/pds-login.ts'
import type { AttemptLimits } from './attempt-limits.ts'
import type { Sealing } from './sealing.ts'

/** How long a password that the PDS accepted is taken without asking again. */
const passwordFreshMs = 60 * 60_000
/** The same while the PDS does not answer or limits us, so that its outage stops no pull by a signed-in client. */
const passwordStaleMs = 24 * 60 * 60_000
const passwordCountMax = 8
const liveSessionCountMax = 5_000
const kind = 'app_password'
const outages: readonly AppViewErrorCode[] = ['pds_unreachable', 'pds_failed', 'rate_limited']

interface KnownPassword {
  hash: string
  atMs: number
}

/** As its owner sees it. */
export interface AppPasswordEntry {
  /** Those that were accepted lately. */
  passwordCount: number
  /** When the account's PDS last accepted one. */
  checkedAt?: Date
}

interface Needs {
  db: AppViewDb
  identities: Pick<Identities, 'resolveActor'>
  login: PdsLogin
  limits: AttemptLimits
  sealing: Sealing
  now: Now
}

/**
 * Accounts that signed in with an app password. Tokens rest sealed in the database, passwords only as keyed hashes, so
 * fifty pushes cost one `createSession` (a PDS allows thirty in five minutes).
 */
export class PdsAccounts {
  readonly #needs: Needs
  readonly #live = new Map<Did, { sealed: string; session: PdsSession }>()
  readonly #signingIn = new Map<string, Promise<void>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Who `actor` (handle or DID) is, if `password` is his. `address` is where the request came from.
   * @throws {AppViewError} `login_failed`, `login_blocked`, `rate_limited`, `pds_unreachable`, `identity_unreachable`
   */
  async logIn(actor: string, password: string, address: string): Promise<{ did: Did; passwordHash: string }> {
    const { limits, sealing } = this.#needs
    const limitKey = `${actor.toLowerCase()} ${address}`
    const identity = await this.#identify(actor, limitKey)
    const hash = sealing.passwordHash(identity.did, password)
    const login = { did: identity.did, passwordHash: hash }
    const isKnown = await this.#isKnown(identity, hash, passwordFreshMs)
    if (isKnown) return login
    limits.check(limitKey)
    try {
      await this.#signInOnce(identity, password, hash)
    } catch (error) {
      if (error instanceof AppViewError && error.code === 'login_failed') limits.noteFailure(limitKey)
      if (error instanceof AppViewError && outages.includes(error.code)) {
        if (await this.#isKnown(identity, hash, passwordStaleMs)) return login
      }
      throw error
    }
    limits.noteSuccess(limitKey)
    return login
  }

  /**
   * The account's PDS, spoken to as the account. Failures of the session itself end it.
   * @throws {AppViewError} `session_lost` when nobody signed in, or the tokens are spent
   */
  async session(did: Did): Promise<PdsSession> {
    const live = this.#live.get(did)
    if (live !== undefined) return live.session
    const row = await findPdsSession(this.#needs.db, did)
    const tokens = row && this.#open(row.sealed, did)
    if (row === undefined || tokens === undefined) {
      throw new AppViewError('session_lost', `no session with the PDS of ${did}; sign in again`)
    }
    const session = this.#guarded(did, tokens)
    if (this.#live.size >= liveSessionCountMax) this.#live.delete(this.#live.keys().next().value as Did)
    this.#live.set(did, { sealed: row.sealed, session })
    return session
  }

  /** What is kept of an account's app passwords; undefined when that is nothing. */
  async find(did: Did): Promise<AppPasswordEntry | undefined> {
    const row = await findPdsSession(this.#needs.db, did)
    if (row === undefined || row.kind !== kind) return undefined
    const passwords = readPasswords(row.passwordHash)
    const checkedAtMs = Math.max(...passwords.map(({ atMs }) => atMs))
    return {
      passwordCount: passwords.length,
      ...(passwords.length > 0 && { checkedAt: new Date(checkedAtMs) }),
    }
  }

  /** Ends the session at the account's PDS, if it answers, and forgets it here in any case: passwords are asked about anew. */
  async forget(did: Did): Promise<void> {
    const row = await findPdsSession(this.#needs.db, did)
    if (row === undefined || row.kind !== kind) return
    this.#live.delete(did)
    await deletePdsSession(this.#needs.db, did)
    const tokens = this.#open(row.sealed, did)
    if (tokens === undefined) return
    await this.#needs.login.signOut(tokens).catch((error: unknown) => {
      if (!(error instanceof AppViewError)) throw error
    })
  }

  async #identify(actor: string, limitKey: string): Promise<Identity> {
    try {
      return await this.#needs.identities.resolveActor(actor)
    } catch (cause) {
      if (!(cause instanceof AtprotoError)) throw cause
      if (cause.code === 'unreachable') {
        throw new AppViewError('identity_unreachable', `could not look up ${actor}`, { cause })
      }
      this.#needs.limits.check(limitKey)
      this.#needs.limits.noteFailure(limitKey)
      throw new AppViewError('login_failed', 'wrong handle or app password', { cause })
    }
  }

  async #isKnown(identity: Identity, hash: string, maxAgeMs: number): Promise<boolean> {
    const row = await findPdsSession(this.#needs.db, identity.did)
    if (row === undefined || row.kind !== kind) return false
    const known = readPasswords(row.passwordHash).find((password) => password.hash === hash)
    if (known === undefined || this.#needs.now().getTime() - known.atMs > maxAgeMs) return false
    // An account that moved to another PDS has to prove itself there.
    return this.#open(row.sealed, identity.did)?.pdsUrl === identity.pdsUrl
  }

  #signInOnce(identity: Identity, password: string, hash: string): Promise<void> {
    const key = `${identity.did} ${hash}`
    const running = this.#signingIn.get(key)
    if (running !== undefined) return running
    const signingIn = this.#signIn(identity, password, hash).finally(() => this.#signingIn.delete(key))
    this.#signingIn.set(key, signingIn)
    return signingIn
  }

  async #signIn(identity: Identity, password: string, hash: string): Promise<void> {
    const tokens = await this.#needs.login.signIn(identity, password)
    const { did } = identity
    const row = await findPdsSession(this.#needs.db, did)
    const others = readPasswords(row?.passwordHash).filter((known) => known.hash !== hash)
    const passwords = [{ hash, atMs: this.#needs.now().getTime() }, ...others].slice(0, passwordCountMax)
    this.#live.delete(did)
    await this.#keep(tokens, JSON.stringify(passwords))
  }

  async #keep(tokens: AppPasswordTokens, passwordHash: string | undefined): Promise<string> {
    const sealed = this.#needs.sealing.seal(JSON.stringify(tokens), tokens.did)
    await putPdsSession(this.#needs.db, {
      did: tokens.did,
      kind,
      sealed,
      ...(passwordHash === undefined ? {} : { passwordHash }),
      updatedAt: this.#needs.now().toISOString(),
    })
    return sealed
  }

  #open(sealed: string, did: Did): AppPasswordTokens | undefined {
    const text = this.#needs.sealing.open(sealed, did)
    return text === undefined ? undefined : (JSON.parse(text) as AppPasswordTokens)
  }

  /** A session whose own death is noticed: its row goes, or another instance's newer tokens take its place. */
  #guarded(did: Did, tokens: AppPasswordTokens): PdsSession {
    const resumed = this.#needs.login.resume(tokens, async (fresh) => {
      const row = await findPdsSession(this.#needs.db, did)
      const sealed = await this.#keep(fresh, row?.passwordHash)
      const live = this.#live.get(did)
      if (live !== undefined) this.#live.set(did, { ...live, sealed })
    })
    return {
      did,
      pdsUrl: tokens.pdsUrl,
      fetchHandler: async (path, init) => {
        try {
          const response = await resumed.fetchHandler(path, init)
          if (response.status === 401) await this.#end(did)
          return response
        } catch (error) {
          if (!isSpent(error)) throw error
          if (await this.#end(did))
            throw new AtprotoError(
              'auth_failed',
              `the session with the PDS of ${did} has ended; sign in again`,
              {
                cause: error,
              },
            )
          return (await this.session(did)).fetchHandler(path, init)
        }
      },
    }
  }

  /** Forgets a dead session. False when another instance has put newer tokens there meanwhile: those may be alive. */
  async #end(did: Did): Promise<boolean> {
    const dead = this.#live.get(did)
    this.#live.delete(did)
    const row = await findPdsSession(this.#needs.db, did)
    if (row !== undefined && dead !== undefined && row.sealed !== dead.sealed) return false
    await deletePdsSession(this.#needs.db, did)
    return true
  }
}

/** Whether a refresh said that the tokens are no longer good, as opposed to a PDS that did not answer. */
function isSpent(error: unknown): boolean {
  return error instanceof AtprotoError && (error.code === 'auth_failed' || error.code === 'xrpc_refused')
}

function readPasswords(text: string | undefined): KnownPassword[] {
  return text === undefined ? [] : (JSON.parse(text) as KnownPassword[])
}
