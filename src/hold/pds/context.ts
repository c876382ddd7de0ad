import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { XrpcError } from '../../http/xrpc-routes.ts'
import type { RepoError, RepoErrorCode } from './errors.ts'
import type { HoldIdentity } from './identity.ts'
import type { HoldRepo } from './repo.ts'

/** What the methods of the embedded PDS work with. */
export interface PdsContext {
  repo: HoldRepo
  identity: Pick<HoldIdentity, 'did' | 'handle' | 'document'>
}

/** @throws {XrpcError} RepoNotFound unless the DID is the hold's own, in either spelling of its port. */
export function checkIsOwnDid(did: string, { identity }: Pick<PdsContext, 'identity'>): void {
  if (normalizeDid(did as Did) !== normalizeDid(identity.did)) {
    throw new XrpcError(400, 'RepoNotFound', `this server keeps the data repo of ${identity.did} only`)
  }
}

/** Like {@link checkIsOwnDid} for a DID or handle. */
export function checkIsOwnActor(actor: string, context: Pick<PdsContext, 'identity'>): void {
  if (actor.toLowerCase() === context.identity.handle) return
  checkIsOwnDid(actor, context)
}

const answers: Record<RepoErrorCode, { status: number; error: string }> = {
  record_invalid: { status: 400, error: 'InvalidRequest' },
  record_exists: { status: 400, error: 'InvalidRequest' },
  record_missing: { status: 400, error: 'RecordNotFound' },
  swap_mismatch: { status: 400, error: 'InvalidSwap' },
  too_many_writes: { status: 400, error: 'InvalidRequest' },
  commit_too_big: { status: 400, error: 'InvalidRequest' },
}

/** A failure of the data repo as XRPC says it; for `mountXrpc`. */
export function toXrpcError(error: RepoError): XrpcError {
  const { status, error: name } = answers[error.code]
  return new XrpcError(status, name, error.message, { cause: error })
}
