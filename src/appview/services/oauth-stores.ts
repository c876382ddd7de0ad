import { AtprotoError } from '../../atproto/errors.ts'
import type { OAuthStores } from '../../atproto/oauth-client.ts'
import { isSameTokens } from '../../atproto/oauth-tokens.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import {
  deleteOAuthSession,
  findOAuthSession,
  putOAuthSession,
  replaceOAuthSession,
} from '../db/oauth-sessions.ts'
import {
  deleteExpiredOAuthStates,
  deleteOAuthState,
  findOAuthState,
  insertOAuthState,
} from '../db/oauth-states.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { Sealing } from './sealing.ts'

/** How long somebody may take at their own server. */
const loginSecondsMax = 15 * 60

type Saved<Store extends keyof OAuthStores> = Awaited<ReturnType<OAuthStores[Store]['get']>>

/**
 * Logins under way and tokens in the database, for all instances, over restarts. Both are sealed, because with them one
 * acts as the account: verifier and DPoP key of a login bound to its state, tokens to the DID.
 */
export function createOAuthStores(needs: {
  db: AppViewDb
  sealing: Pick<Sealing, 'seal' | 'open'>
  now: Now
}): OAuthStores {
  const { db, now, sealing } = needs
  /** A row that does not open is of another key file, or was tampered with: as good as none. */
  const open = (sealed: string | undefined, context: string): unknown => {
    const text = sealed === undefined ? undefined : sealing.open(sealed, context)
    return text === undefined ? undefined : JSON.parse(text)
  }
  return {
    states: {
      get: async (state) => {
        const sealed = await findOAuthState(db, state, now().toISOString())
        return open(sealed, stateContext(state)) as Saved<'states'>
      },
      set: async (state, value) => {
        const nowMs = now().getTime()
        await deleteExpiredOAuthStates(db, new Date(nowMs).toISOString())
        const expiresAt = new Date(nowMs + loginSecondsMax * 1000).toISOString()
        const sealed = sealing.seal(JSON.stringify(value), stateContext(state))
        await insertOAuthState(db, { state, sealed, expiresAt })
      },
      del: async (state) => {
        // Two may come back with the same state at once, to two instances.
        if (await deleteOAuthState(db, state)) return
        throw new AtprotoError('login_unknown', 'this login was ended already')
      },
    },
    sessions: {
      get: async (did) =>
        open(await findOAuthSession(db, did as Did), sessionContext(did)) as Saved<'sessions'>,
      set: async (did, value) => {
        const sealed = sealing.seal(JSON.stringify(value), sessionContext(did))
        await putOAuthSession(db, { did: did as Did, sealed, updatedAt: now().toISOString() })
      },
      del: (did) => deleteOAuthSession(db, did as Did),
      replace: async (did, from, to) => {
        const current = await findOAuthSession(db, did)
        const saved = open(current, sessionContext(did)) as Saved<'sessions'>
        if (current === undefined || saved === undefined || !isSameTokens(saved, from)) return false
        const sealed = to && sealing.seal(JSON.stringify(to), sessionContext(did))
        return replaceOAuthSession(db, did, {
          from: current,
          to: sealed === undefined ? undefined : { sealed, updatedAt: now().toISOString() },
        })
      },
    },
  }
}

const stateContext = (state: string) => `oauth state ${state}`
const sessionContext = (did: string) => `oauth session ${did}`
