import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities, Identity } from '../../atproto/identity.ts'
import type { AppPasswordTokens, PdsSession } from '../../atproto/pds-session.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import {
  deleteAppPasswordSession,
  deleteAppPasswordSessionsOf,
  findAppPasswordSession,
  listAppPasswordSessions,
  putAppPasswordSession,
  updateAppPasswordSession,
  type AppPasswordSessionRow,
} from '../db/app-password-sessions.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import type { PdsLogin } from '../ports/pds-login.ts'
import type { Leases } from './leases.ts'
import type { LoginAttempt, LoginLimits } from './login-limits.ts'
import type { Sealing } from './sealing.ts'

/** How long a password that the PDS accepted is taken without asking again; so its revocation is felt after this. */
export const passwordFreshSeconds = 60 * 60
/** The same while the PDS does not answer or limits us, so that its outage stops no pull by a signed-in client. */
const passwordStaleSeconds = 24 * 60 * 60
const passwordCountMax = 8
const liveSessionCountMax = 5_000
/** How long a PDS is left alone that limits us without saying for how long, and the longest it is. */
const restSecondsDefault = 60
const restSecondsMax = 24 * 60 * 60
const restCountMax = 5_000
const outages: readonly AppViewErrorCode[] = ['pds_unreachable', 'pds_failed', 'rate_limited']

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
  limits: LoginLimits
  leases: Pick<Leases, 'run'>
  sealing: Sealing
  now: Now
}

/** A session in use, and the row it came from. */
interface LiveSession {
  hash: string
  sealed: string
  session: PdsSession
}

/**
 * Accounts that signed in with an app password. Each password has one session with the PDS, sealed in the database, and
 * is known again by a keyed hash, so fifty pushes cost one `createSession` (a PDS allows thirty in five minutes).
 */
export class PdsAccounts {
  readonly #needs: Needs
  readonly #live = new Map<Did, LiveSession>()
  readonly #proving = new Map<string, Promise<void>>()
  /** Until when the PDS wants no sign-ins of an account. */
  readonly #restUntilMs = new Map<Did, number>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Who `actor` (handle or DID) is, if `password` is his. `address` is where the request came from. What was good
   * before passes while others guess; what was not is slowed down ({@link LoginLimits}).
   * @throws {AppViewError} `login_failed`, `login_blocked`, `rate_limited`, `pds_unreachable`, `identity_unreachable`
   */
  async logIn(
    actor: string,
    password: string,
    address: string,
  ): Promise<{ did: Did; passwordHash: string; isNew: boolean }> {
    const { db, limits, sealing } = this.#needs
    const identity = await this.#identify(actor, address)
    const { did } = identity
    const hash = sealing.passwordHash(did, password)
    const known = await findAppPasswordSession(db, did, hash)
    const attempt = { account: did, address }
    if (this.#isProved(known, identity, passwordFreshSeconds)) {
      limits.noteKnown(attempt)
      return { did, passwordHash: hash, isNew: false }
    }
    try {
      await this.#proveOnce(
        identity,
        hash,
        () => this.#signIn(identity, password, hash),
        () => {
          this.#checkRest(did)
          return known === undefined ? limits.take(attempt) : nothing
        },
      )
    } catch (error) {
      if (isOutage(error) && this.#isProved(known, identity, passwordStaleSeconds))
        return { did, passwordHash: hash, isNew: false }
      if (isLoginFailure(error) && known !== undefined) await this.#forget(known)
      throw error
    }
    limits.noteKnown(attempt)
    return { did, passwordHash: hash, isNew: known === undefined }
  }

  /**
   * Makes sure that a password which signed in before is still good, for those who show something they were given for
   * it. Asks the PDS once an hour, by exchanging the tokens: that ends with the password.
   * @throws {AppViewError} `login_failed` when it was revoked or is not known any more, `rate_limited`, `pds_unreachable`
   */
  async prove(did: Did, passwordHash: string): Promise<void> {
    const { db, login } = this.#needs
    const identity = await this.#resolve(did)
    const known = await findAppPasswordSession(db, did, passwordHash)
    const tokens = known && this.#open(known)
    if (known === undefined || tokens === undefined || tokens.pdsUrl !== identity.pdsUrl)
      throw new AppViewError(
        'login_failed',
        'the app password behind this is not known any more; log in again',
      )
    if (this.#isProved(known, identity, passwordFreshSeconds)) return
    try {
      await this.#proveOnce(identity, passwordHash, async () =>
        this.#renewed(await login.renew(tokens), passwordHash),
      )
    } catch (error) {
      if (isOutage(error) && this.#isProved(known, identity, passwordStaleSeconds)) return
      // Unless another instance was faster, which has spent these tokens.
      if (isLoginFailure(error) && !(await this.#forget(known))) return this.prove(did, passwordHash)
      throw error
    }
  }

  /**
   * The account's PDS, spoken to as the account, with the password that was proved last. A session that dies is ended.
   * @throws {AppViewError} `session_lost` when nobody signed in, or the tokens are spent
   */
  async session(did: Did): Promise<PdsSession> {
    const rows = await listAppPasswordSessions(this.#needs.db, did)
    // Any instance may have ended it, or renewed its tokens.
    const live = this.#live.get(did)
    if (live !== undefined && rows.some((row) => row.sealed === live.sealed)) return live.session
    this.#live.delete(did)
    for (const row of rows) {
      const tokens = this.#open(row)
      if (tokens === undefined) continue
      const session = this.#guarded(row, tokens)
      if (this.#live.size >= liveSessionCountMax) this.#live.delete(this.#live.keys().next().value as Did)
      this.#live.set(did, { hash: row.password_hash, sealed: row.sealed, session })
      return session
    }
    throw new AppViewError('session_lost', `no session with the PDS of ${did}; sign in again`)
  }

  /** What is kept of an account's app passwords; undefined when that is nothing. */
  async find(did: Did): Promise<AppPasswordEntry | undefined> {
    const rows = await listAppPasswordSessions(this.#needs.db, did)
    const [last] = rows
    return last && { passwordCount: rows.length, checkedAt: new Date(last.proved_at) }
  }

  /**
   * Forgets an account's sessions, in all instances: passwords are asked about anew. Then ends them at its PDS, all at
   * once; that takes as long as the PDS does, and need not be waited for.
   */
  async forget(did: Did): Promise<void> {
    const rows = await deleteAppPasswordSessionsOf(this.#needs.db, did)
    this.#live.delete(did)
    const ending = rows.map(async (row) => {
      const tokens = this.#open(row)
      if (tokens !== undefined) await this.#needs.login.signOut(tokens).catch(ignoreFailure)
    })
    await Promise.all(ending)
  }

  async #identify(actor: string, address: string): Promise<Identity> {
    try {
      return await this.#resolve(actor)
    } catch (error) {
      if (!isLoginFailure(error)) throw error
      const attempt: LoginAttempt = { account: actor, address }
      this.#needs.limits.take(attempt)
      throw error
    }
  }

  async #resolve(actor: string): Promise<Identity> {
    try {
      return await this.#needs.identities.resolveActor(actor)
    } catch (cause) {
      if (!(cause instanceof AtprotoError)) throw cause
      if (cause.code === 'unreachable') {
        throw new AppViewError('identity_unreachable', `could not look up ${actor}`, { cause })
      }
      throw new AppViewError('login_failed', 'wrong handle or app password', { cause })
    }
  }

  /** Whether the PDS called it good lately. An account that moved to another PDS has to prove itself there. */
  #isProved(row: AppPasswordSessionRow | undefined, identity: Identity, maxAgeSeconds: number): boolean {
    if (row === undefined) return false
    const ageMs = this.#needs.now().getTime() - Date.parse(row.proved_at)
    return ageMs <= maxAgeSeconds * 1000 && this.#open(row)?.pdsUrl === identity.pdsUrl
  }

  async #signIn(identity: Identity, password: string, hash: string): Promise<void> {
    try {
      await this.#begin(await this.#needs.login.signIn(identity, password), hash)
    } catch (error) {
      this.#noteRest(identity.did, error)
      throw error
    }
  }

  /** @throws {AppViewError} `rate_limited` while the PDS has told us to wait: asking again would only use up what it allows */
  #checkRest(did: Did): void {
    const leftMs = (this.#restUntilMs.get(did) ?? 0) - this.#needs.now().getTime()
    if (leftMs <= 0) return
    const retryAfterSeconds = Math.ceil(leftMs / 1000)
    const message = `your PDS limits how often you sign in; try again in ${retryAfterSeconds} s`
    throw new AppViewError('rate_limited', message, { retryAfterSeconds })
  }

  #noteRest(did: Did, error: unknown): void {
    if (!(error instanceof AppViewError) || error.code !== 'rate_limited') return
    const seconds = Math.min(error.retryAfterSeconds ?? restSecondsDefault, restSecondsMax)
    this.#restUntilMs.delete(did)
    if (this.#restUntilMs.size >= restCountMax) this.#restUntilMs.delete(this.#restUntilMs.keys().next().value as Did) // prettier-ignore
    this.#restUntilMs.set(did, this.#needs.now().getTime() + seconds * 1000)
  }

  /**
   * Many who ask at once about one password are one question, at whichever instance they ask, and one attempt: the first
   * of them takes it before anything is awaited, and it is given back when the password is good.
   */
  #proveOnce(
    identity: Identity,
    hash: string,
    prove: () => Promise<void>,
    takeAttempt: () => () => void = () => nothing,
  ): Promise<void> {
    const { db, leases } = this.#needs
    const key = `${identity.did} ${hash}`
    const running = this.#proving.get(key)
    if (running !== undefined) return running
    const giveBack = takeAttempt()
    const proving = leases
      .run(`app password ${key}`, async () => {
        const row = await findAppPasswordSession(db, identity.did, hash)
        if (!this.#isProved(row, identity, passwordFreshSeconds)) await prove()
      })
      .then(giveBack)
      .finally(() => this.#proving.delete(key))
    this.#proving.set(key, proving)
    return proving
  }

  /** Keeps the tokens of a password that is good as of now, and of not too many others. */
  async #begin(tokens: AppPasswordTokens, hash: string): Promise<void> {
    const { db, sealing, now } = this.#needs
    const { did } = tokens
    const sealed = sealing.seal(JSON.stringify(tokens), did)
    await putAppPasswordSession(db, { did, password_hash: hash, sealed, proved_at: now().toISOString() })
    this.#live.delete(did)
    const rows = await listAppPasswordSessions(db, did)
    for (const row of rows.slice(passwordCountMax)) await this.#forget(row)
  }

  /** Keeps the new tokens of a session, unless its owner had it forgotten while the PDS was asked: then they end too. */
  async #renewed(tokens: AppPasswordTokens, hash: string): Promise<void> {
    const { db, login, sealing, now } = this.#needs
    const { did } = tokens
    const sealed = sealing.seal(JSON.stringify(tokens), did)
    const row = { did, password_hash: hash, sealed, proved_at: now().toISOString() }
    if (await updateAppPasswordSession(db, row)) {
      this.#live.delete(did)
      return
    }
    await login.signOut(tokens).catch(ignoreFailure)
    throw new AppViewError('login_failed', 'the app password behind this was forgotten; log in again')
  }

  /** Ends a session, unless it has newer tokens by now. */
  async #forget(row: AppPasswordSessionRow): Promise<boolean> {
    const isGone = await deleteAppPasswordSession(this.#needs.db, row)
    if (this.#live.get(row.did)?.sealed === row.sealed) this.#live.delete(row.did)
    return isGone
  }

  #open({ sealed, did }: Pick<AppPasswordSessionRow, 'sealed' | 'did'>): AppPasswordTokens | undefined {
    const text = this.#needs.sealing.open(sealed, did)
    return text === undefined ? undefined : (JSON.parse(text) as AppPasswordTokens)
  }

  /** A session whose own death is noticed: its row goes, or another instance's newer tokens take its place. */
  #guarded(row: AppPasswordSessionRow, tokens: AppPasswordTokens): PdsSession {
    const { did } = row
    let current = row
    const resumed = this.#needs.login.resume(tokens, async (fresh) => {
      const sealed = this.#needs.sealing.seal(JSON.stringify(fresh), did)
      await updateAppPasswordSession(this.#needs.db, { did, password_hash: row.password_hash, sealed })
      const live = this.#live.get(did)
      if (live?.sealed === current.sealed) this.#live.set(did, { ...live, sealed })
      current = { ...current, sealed }
    })
    return {
      did,
      pdsUrl: tokens.pdsUrl,
      fetchHandler: async (path, init) => {
        try {
          const response = await resumed.fetchHandler(path, init)
          if (response.status === 401) await this.#forget(current)
          return response
        } catch (error) {
          if (!isSpent(error)) throw error
          if (await this.#forget(current))
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
}

function nothing(): void {}

/** A PDS that does not answer, or has ended the session itself. */
function ignoreFailure(error: unknown): void {
  if (!(error instanceof AppViewError)) throw error
}

/** Whether a refresh said that the tokens are no longer good, as opposed to a PDS that did not answer. */
function isSpent(error: unknown): boolean {
  return error instanceof AtprotoError && (error.code === 'auth_failed' || error.code === 'xrpc_refused')
}

function isLoginFailure(error: unknown): boolean {
  return error instanceof AppViewError && error.code === 'login_failed'
}

function isOutage(error: unknown): boolean {
  return error instanceof AppViewError && outages.includes(error.code)
}
