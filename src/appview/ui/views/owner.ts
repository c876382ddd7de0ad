import { AtprotoError } from '../../../atproto/errors.ts'
import type { Identities } from '../../../atproto/identity.ts'
import { isDid, normalizeDid, type Did } from '../../../atproto/syntax.ts'
import { waitAtMost } from '../../../lib/clock.ts'
import { OciError } from '../../../protocol/oci/errors.ts'
import { didAlias, parseRepositoryPath, type RepositoryPath } from '../../../protocol/oci/repository-path.ts'
import { hasRecords } from '../../db/accounts.ts'
import { findFormerHolder, findIdentity, findIdentityByHandle } from '../../db/identities.ts'
import type { Viewer } from '../../db/listings.ts'
import type { HealthNeeds } from './health.ts'

/** How long a page waits for an account to be read that nobody asked for before. */
const firstReadingMs = 3000

/** What a view asks of the rest of the AppView. */
export interface ViewNeeds extends HealthNeeds {
  identities: Pick<Identities, 'resolveActor'>
  /** Reads an account that the index has never seen; resolves when that was tried. */
  requestOwner?: (did: Did) => Promise<void>
  /** Who looks: what rests in private holds is shown to those who may read there. */
  viewer: Viewer
}

/** An account as pages name it. */
export interface OwnerView {
  did: Did
  /** The handle; the DID while the handle is not known, or is a false one. */
  label: string
  /** The account's page. */
  path: string
  /** How image names spell the account: docker's grammar knows no colon. */
  imageName: string
}

/** Takes `<owner>/<name>` apart as the registry does, aliases of DIDs included; undefined when it is no such path. */
export function readRepositoryPath(text: string): RepositoryPath | undefined {
  try {
    return parseRepositoryPath(text)
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}

/** Takes a handle, a DID, or an alias of one, as typed into the address bar. */
export function readActor(text: string): string | undefined {
  return readRepositoryPath(`${text.toLowerCase()}/x`)?.owner
}

/** Whether {@link findOwner} answers without asking anybody over the network. */
export async function isOwnerKnown(
  { db, identities }: Pick<ViewNeeds, 'db'> & { identities: Pick<Identities, 'isCached'> },
  actor: string,
): Promise<boolean> {
  if (identities.isCached(actor)) return true
  const known = isDid(actor)
    ? await findIdentity(db, normalizeDid(actor))
    : await findIdentityByHandle(db, actor)
  return known !== undefined
}

/**
 * The account of a handle or DID: by the index, else over the network, else by a handle it had once. Undefined when there is none, when it is
 * away, and when nobody could say.
 */
export async function findOwner(needs: ViewNeeds, actor: string): Promise<OwnerView | undefined> {
  const known = isDid(actor)
    ? await findIdentity(needs.db, normalizeDid(actor))
    : await findIdentityByHandle(needs.db, actor)
  if (known !== undefined) return known.isActive ? ownerView(known.did, known.handle) : undefined
  try {
    const { did, handle } = await needs.identities.resolveActor(actor)
    if (needs.requestOwner !== undefined) await waitAtMost(firstReadingMs, needs.requestOwner(did))
    const identity = await findIdentity(needs.db, did)
    return identity?.isActive === false ? undefined : ownerView(did, handle)
  } catch (error) {
    if (!(error instanceof AtprotoError)) throw error
    const former = isDid(actor) ? undefined : await findFormerHolder(needs.db, actor)
    if (former !== undefined) return ownerView(former.did, former.handle)
    // Nobody can say who it is, but its records are here: it goes by its DID.
    return isDid(actor) && (await hasRecords(needs.db, actor)) ? ownerView(actor, undefined) : undefined
  }
}

/** An account by what is known of it; nothing is asked over the network. */
export function ownerView(did: Did, handle: string | undefined): OwnerView {
  const label = handle ?? did
  return { did, label, path: `/u/${label}`, imageName: handle ?? didAlias(did) ?? did }
}
