import type { Did } from '../../atproto/syntax.ts'
import { lastTidOf } from '../../atproto/tid.ts'
import { deleteAccountRows } from '../db/accounts.ts'
import { findIdentity, setAccountActive } from '../db/identities.ts'
import { putForgottenRev } from '../db/repo-revs.ts'
import type { AppViewDb } from '../db/schema.ts'

/**
 * The network told that an account is there, or not. One that is only away (deactivated, suspended, taken down) is
 * hidden and may come back; a deleted one is forgotten, and what it wrote before comes back no more. Says whether this
 * was news. `atMicros`: microseconds since 1970, by the clock of whoever told.
 */
export async function applyAccountState(
  tx: AppViewDb,
  account: { did: Did; isActive: boolean; status: string | undefined; atMicros: number },
): Promise<boolean> {
  const { did, isActive, status, atMicros } = account
  const isNews = await setAccountActive(tx, { did, isActive, at: isoMicros(atMicros) })
  if (isActive || status !== 'deleted') return isNews
  // Its server may have said already that it is not there, without saying why.
  if (!isNews && (await findIdentity(tx, did))?.isActive !== false) return false
  await putForgottenRev(tx, did, lastTidOf(atMicros))
  await deleteAccountRows(tx, did)
  return true
}

/** ISO 8601 to the microsecond, so that two events of one millisecond keep their order. */
function isoMicros(timeMicros: number): string {
  const iso = new Date(Math.floor(timeMicros / 1000)).toISOString()
  return `${iso.slice(0, -1)}${String(timeMicros % 1000).padStart(3, '0')}Z`
}
