import type { Did } from '../../atproto/syntax.ts'
import { deleteAccountRows } from '../db/accounts.ts'
import { setAccountActive } from '../db/identities.ts'
import type { AppViewDb } from '../db/schema.ts'

/**
 * The network told that an account is there, or not. One that is only away (deactivated, suspended, taken down) is
 * hidden and may come back; a deleted one is forgotten. Says whether this was news.
 */
export async function applyAccountState(
  tx: AppViewDb,
  account: { did: Did; isActive: boolean; status: string | undefined; at: string },
): Promise<boolean> {
  if (!(await setAccountActive(tx, account))) return false
  if (!account.isActive && account.status === 'deleted') await deleteAccountRows(tx, account.did)
  return true
}
