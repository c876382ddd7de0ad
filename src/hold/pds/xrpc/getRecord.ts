import { XrpcError, xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getRecord from '../../../protocol/lexicon/generated/com/atproto/repo/getRecord.ts'
import { checkIsOwnActor, type PdsContext } from '../context.ts'

/** The record as it is now; older versions are not kept. */
export const getRecordMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(getRecord.main, async ({ params }) => {
    checkIsOwnActor(params.repo, { identity })
    const record = await repo.findRecord(params.collection, params.rkey)
    if (record === undefined || (params.cid !== undefined && params.cid !== record.cid)) {
      throw new XrpcError(400, 'RecordNotFound', `no such record: ${params.collection}/${params.rkey}`)
    }
    return record
  })
