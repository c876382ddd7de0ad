import type { Did } from '../../atproto/syntax.ts'
import { parseRepositoryPath, type RepositoryPath } from '../../protocol/oci/repository-path.ts'
import { coversAction, type Scope } from '../../protocol/oci/scope.ts'
import { AppViewError } from '../errors.ts'
import type { Access } from './registry-tokens.ts'
import type { Repositories } from './repositories.ts'

export type RegistryAction = 'pull' | 'push' | 'delete'

/**
 * What a token may hold of what was asked: pull for everyone (what a reader may see is decided where it is kept), push
 * and delete for the owner. Narrows, never widens; what is no repository of ours is left out.
 */
export async function grantScopes(
  repositories: Pick<Repositories, 'resolve'>,
  scopes: readonly Scope[],
  did: Did | undefined,
): Promise<Access[]> {
  const granted: Access[] = []
  for (const { type, name, actions } of scopes) {
    const path = type === 'repository' ? pathOf(name) : undefined
    if (path === undefined) continue
    const isOwner = did !== undefined && (await isOwnedBy(repositories, path, did))
    const allowed: RegistryAction[] = isOwner ? ['pull', 'push', 'delete'] : ['pull']
    const given = allowed.filter((action) => coversAction(actions, action))
    if (given.length > 0) granted.push({ type, name, actions: given })
  }
  return granted
}

async function isOwnedBy(
  repositories: Pick<Repositories, 'resolve'>,
  path: RepositoryPath,
  did: Did,
): Promise<boolean> {
  try {
    return (await repositories.resolve(path)).ownerDid === did
  } catch (error) {
    if (error instanceof AppViewError && error.code === 'owner_unknown') return false
    throw error
  }
}

function pathOf(name: string): RepositoryPath | undefined {
  try {
    return parseRepositoryPath(name)
  } catch {
    return undefined
  }
}
