import type { Did } from '../../atproto/syntax.ts'
import { parseRepositoryPath, type RepositoryPath } from '../../protocol/oci/repository-path.ts'
import { coversAction, type Scope } from '../../protocol/oci/scope.ts'
import { AppViewError } from '../errors.ts'
import type { Access } from './registry-tokens.ts'
import type { Repositories } from './repositories.ts'

export type RegistryAction = 'pull' | 'push' | 'delete'

/** Repositories in one token at most, so that it fits into a header; clients ask for a few. */
const grantCountMax = 30
/** Names of owners looked up for one token at most; a client writes to one. */
const ownerCountMax = 4

/**
 * What a token may hold of what was asked: pull for everyone (what a reader may see is decided where it is kept, so that
 * leaving a crew is felt at once), push and delete for the owner. Narrows, never widens; what is no repository of ours is
 * left out. @throws {AppViewError} `identity_unreachable` when nobody can say whose a name is
 */
export async function grantScopes(
  repositories: Pick<Repositories, 'resolve'>,
  scopes: readonly Scope[],
  did: Did | undefined,
): Promise<Access[]> {
  const granted: Access[] = []
  const isOwn = new Map<string, Promise<boolean>>()
  const isOwner = async (path: RepositoryPath) => {
    if (did === undefined) return false
    if (!isOwn.has(path.owner) && isOwn.size < ownerCountMax)
      isOwn.set(path.owner, isOwnedBy(repositories, path, did))
    return (await isOwn.get(path.owner)) ?? false
  }
  for (const { type, name, actions } of scopes) {
    const path = type === 'repository' ? pathOf(name) : undefined
    if (path === undefined) continue
    const wantsToWrite = coversAction(actions, 'push') || coversAction(actions, 'delete')
    const isAllowedToWrite = wantsToWrite && (await isOwner(path))
    const allowed: RegistryAction[] = isAllowedToWrite ? ['pull', 'push', 'delete'] : ['pull']
    const given = allowed.filter((action) => coversAction(actions, action))
    if (given.length > 0) granted.push({ type, name, actions: given })
    if (granted.length === grantCountMax) break
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
