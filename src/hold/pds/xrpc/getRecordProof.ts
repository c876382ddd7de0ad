import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getRecord from '../../../protocol/lexicon/generated/com/atproto/sync/getRecord.ts'
import { carResponse } from '../car-response.ts'
import { checkIsOwnDid, type PdsContext } from '../context.ts'

/** `com.atproto.sync.getRecord`: the proof that a record is there, or that it is not. */
export const getRecordProofMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(getRecord.main, async ({ params }) => {
    checkIsOwnDid(params.did, { identity })
    return carResponse(await repo.getRecordProof(params.collection, params.rkey))
  })
