import type { Identities } from '../../../atproto/identity.ts'
import type { Did, Handle } from '../../../atproto/syntax.ts'
import { waitAtMost } from '../../../lib/clock.ts'

/** A page does not wait longer for a name. It has the DID, and the name is there at the next look. */
const nameMsMax = 1500

/** Somebody on a page. */
export interface PersonView {
  did: Did
  handle: Handle | undefined
}

/** The handle of a DID that proves to be its; undefined when it has none, or nobody says in time. */
export async function findName(identities: Identities, did: Did): Promise<Handle | undefined> {
  let handle: Handle | undefined
  const asked = identities.resolveDid(did).then((identity) => (handle = identity.handle))
  await waitAtMost(nameMsMax, asked)
  return handle
}

/** People by DID, asked for all at once. */
export async function viewPeople(
  identities: Identities,
  dids: readonly Did[],
): Promise<Map<Did, PersonView>> {
  const people = await Promise.all(
    [...new Set(dids)].map(async (did) => ({ did, handle: await findName(identities, did) })),
  )
  return new Map(people.map((person) => [person.did, person]))
}
