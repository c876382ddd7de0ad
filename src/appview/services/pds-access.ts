import type { Did } from '../../atproto/syntax.ts'
import { AppViewError } from '../errors.ts'
import type { PdsSessions } from './pds-sessions.ts'

/** Whether we may write for an account. False only for sure: a server that does not answer may well have the session. */
export function hasPdsSession(pdsSessions: Pick<PdsSessions, 'session'>, did: Did): Promise<boolean> {
  return pdsSessions.session(did).then(
    () => true,
    (error: unknown) => !(error instanceof AppViewError && error.code === 'session_lost'),
  )
}
