import type { IncomingMessage } from 'node:http'

import { formatScope, coversAction } from '../../protocol/oci/scope.ts'
import { parseRepositoryPath } from '../../protocol/oci/repository-path.ts'
import { AppViewError } from '../errors.ts'
import type { RegistryAction } from '../services/registry-grants.ts'
import type { RegistryTokens, TokenHolder } from '../services/registry-tokens.ts'
import type { Repositories, RepositoryKey } from '../services/repositories.ts'

/** What a route wants to do, and where. */
export interface Wanted {
  name: string
  repository: RepositoryKey
  action: RegistryAction
}

/** Actions asked for in a challenge: who pushes reads as well. */
const challenged: Record<RegistryAction, string[]> = {
  pull: ['pull'],
  push: ['pull', 'push'],
  delete: ['pull', 'push', 'delete'],
}

/** Who shows which token. @throws {AppViewError} `login_required`, `token_invalid` */
export async function authenticate(tokens: RegistryTokens, incoming: IncomingMessage): Promise<TokenHolder> {
  const [scheme = '', token = ''] = (incoming.headers.authorization ?? '').split(' ', 2)
  if (scheme.toLowerCase() !== 'bearer' || token === '') {
    throw new AppViewError('login_required', 'a token is needed; the challenge says where to get one')
  }
  return tokens.verify(token)
}

/**
 * Lets an action pass, or says why not: another owner's repository is refused for good (403), a token that is merely
 * too narrow is answered with the challenge for a better one (401).
 */
export async function requireAction(
  repositories: Pick<Repositories, 'resolve'>,
  holder: TokenHolder,
  wanted: Wanted,
): Promise<void> {
  const { action, repository } = wanted
  const isWrite = action !== 'pull'
  if (isWrite && holder.did !== undefined && holder.did !== repository.ownerDid) {
    throw new AppViewError('not_owner', `only its owner may ${action} here`)
  }
  if (await tokenCovers(repositories, holder, wanted)) return
  if (holder.did === undefined && isWrite) {
    throw new AppViewError('login_required', `sign in to ${action}`)
  }
  throw new AppViewError('scope_missing', `the token does not allow ${action} here`)
}

/** Whether a token allows an action on a repository, under whichever of its names it was asked for. */
export async function tokenCovers(
  repositories: Pick<Repositories, 'resolve'>,
  holder: TokenHolder,
  { name, repository, action }: Wanted,
): Promise<boolean> {
  for (const access of holder.access) {
    if (access.type !== 'repository' || !coversAction(access.actions, action)) continue
    if (access.name === name) return true
    if (await isSame(repositories, access.name, repository)) return true
  }
  return false
}

/** The `WWW-Authenticate` value that tells a client where to get a token, and for what. */
export function challenge(
  place: { realm: string; service: string },
  error: AppViewError,
  wanted?: Pick<Wanted, 'name' | 'action'>,
): string {
  const scope =
    wanted === undefined
      ? undefined
      : formatScope({ type: 'repository', name: wanted.name, actions: challenged[wanted.action] })
  const reason = reasons[error.code]
  const parts = [
    `realm="${place.realm}"`,
    `service="${place.service}"`,
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
    ...(reason === undefined ? [] : [`error="${reason}"`]),
  ]
  return `Bearer ${parts.join(',')}`
}

/** RFC 6750 §3.1. Without a token there is no error to name. */
const reasons: Partial<Record<AppViewError['code'], string>> = {
  token_invalid: 'invalid_token',
  session_lost: 'invalid_token',
  scope_missing: 'insufficient_scope',
}

async function isSame(
  repositories: Pick<Repositories, 'resolve'>,
  name: string,
  repository: RepositoryKey,
): Promise<boolean> {
  try {
    const path = parseRepositoryPath(name)
    if (path.name !== repository.name) return false
    return (await repositories.resolve(path)).ownerDid === repository.ownerDid
  } catch {
    return false
  }
}
