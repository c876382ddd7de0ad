import type { Did } from '../../atproto/syntax.ts'

/** Where we hand out a picture that a record of the account names: see {@link Avatars}. */
export function avatarPath(did: Did, cid: string): string {
  return `/avatar/${did}/${cid}`
}
