import { isValidRecordKey } from '@atproto/syntax'

import { XrpcError, xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as listRecords from '../../../protocol/lexicon/generated/com/atproto/repo/listRecords.ts'
import { checkIsOwnActor, type PdsContext } from '../context.ts'

export const listRecordsMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(listRecords.main, async ({ params }) => {
    checkIsOwnActor(params.repo, { identity })
    const { collection, limit, cursor, reverse } = params
    if (cursor !== undefined && !isValidRecordKey(cursor)) {
      throw new XrpcError(400, 'InvalidRequest', 'cursor is not one that this method gave')
    }
    return await repo.listRecords(collection, { limit, cursor, reverse })
  })
