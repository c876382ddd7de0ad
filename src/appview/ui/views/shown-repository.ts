import { findShownRepository } from '../../db/listings.ts'
import type { RepositoryKey } from '../../db/schema.ts'
import { findOwner, readRepositoryPath, type OwnerView, type ViewNeeds } from './owner.ts'
import { repositoryPath } from './repository-list.ts'

/** A repository that who looks may see. */
export interface ShownRepository {
  key: RepositoryKey
  owner: OwnerView
  path: string
}

/** The repository under a path as it was typed; undefined when there is none to be seen. */
export async function findRepositoryOf(
  needs: ViewNeeds,
  pathText: string,
): Promise<ShownRepository | undefined> {
  const path = readRepositoryPath(pathText)
  const owner = path && (await findOwner(needs, path.owner))
  if (path === undefined || owner === undefined) return undefined
  const key = { ownerDid: owner.did, name: path.name }
  const repository = await findShownRepository(needs.db, key, needs.viewer)
  return repository && { key, owner, path: repositoryPath(owner, path.name) }
}
