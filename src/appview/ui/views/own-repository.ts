import { findRepoPage } from '../../db/repo-pages.ts'
import { pageVersion } from '../../services/repository-pages.ts'
import { avatarPath } from '../avatars.ts'
import type { ViewNeeds } from './owner.ts'
import { findRepositoryOf, type ShownRepository } from './shown-repository.ts'

/** A repository for whoever wants to change it. */
export type OwnRepository = ShownRepository & { isOwn: boolean }

/** The repository under a path, and whether it is the viewer's; undefined when there is none to be seen. */
export async function findOwnRepository(needs: ViewNeeds, path: string): Promise<OwnRepository | undefined> {
  const repository = await findRepositoryOf(needs, path)
  return repository && { ...repository, isOwn: repository.owner.did === needs.viewer }
}

/** What stands on a repository's page, to be edited. */
export async function viewPageToEdit({ db }: ViewNeeds, { key, path }: ShownRepository) {
  const page = await findRepoPage(db, key)
  const { avatarCid, description = '' } = page ?? {}
  return {
    path,
    name: key.name,
    description,
    version: pageVersion({ description, avatarCid }),
    picturePath: avatarCid === undefined ? undefined : avatarPath(key.ownerDid, avatarCid),
  }
}
