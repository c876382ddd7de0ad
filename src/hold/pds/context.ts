import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { XrpcError } from '../../http/xrpc-routes.ts'
import type { RepoError, RepoErrorCode } from './errors.ts'
import type { HoldIdentity } from './identity.ts'
import type { HoldRepo } from './repo.ts'

/** What the methods of the embedded PDS work with. */
export interface PdsContext {
  repo: HoldRepo
  identity: Pick<HoldIdentity, 'did' | 'handle' | 'document' | 'publicUrl'>
}

interface OwnIdentity {
  identity: Pick<HoldIdentity, 'did' | 'handle'>
}

/** @throws {XrpcError} RepoNotFound unless the DID is the hold's own, in either spelling of its port. */
export function checkIsOwnDid(did: string, { identity }: OwnIdentity): void {
  if (!isOwnDid(did, identity.did)) {
    throw new XrpcError(400, 'RepoNotFound', `this server keeps the data repo of ${identity.did} only`)
  }
}

/** Like {@link checkIsOwnDid} for a DID or handle. */
export function checkIsOwnActor(actor: string, context: OwnIdentity): void {
  if (!isOwnActor(actor, context)) checkIsOwnDid(actor, context)
}

/** Whether a DID or handle is the hold's own. */
export function isOwnActor(actor: string, { identity }: OwnIdentity): boolean {
  return actor.toLowerCase() === identity.handle || isOwnDid(actor, identity.did)
}

function isOwnDid(did: string, ownDid: Did): boolean {
  return normalizeDid(did as Did) === normalizeDid(ownDid)
}

const answers: Record<RepoErrorCode, { status: number; error: string }> = {
  blob_missing: { status: 400, error: 'BlobNotFound' },
  blob_too_big: { status: 413, error: 'PayloadTooLarge' },
  car_invalid: { status: 400, error: 'InvalidRequest' },
  car_too_big: { status: 413, error: 'PayloadTooLarge' },
  commit_too_big: { status: 400, error: 'InvalidRequest' },
  record_exists: { status: 400, error: 'InvalidRequest' },
  record_invalid: { status: 400, error: 'InvalidRequest' },
  record_missing: { status: 400, error: 'RecordNotFound' },
  swap_mismatch: { status: 400, error: 'InvalidSwap' },
  too_many_writes: { status: 400, error: 'InvalidRequest' },
}

/** A failure of the data repo as XRPC says it; for `mountXrpc`. */
export function toXrpcError(error: RepoError): XrpcError {
  const { status, error: name } = answers[error.code]
  return new XrpcError(status, name, error.message, { cause: error })
}
