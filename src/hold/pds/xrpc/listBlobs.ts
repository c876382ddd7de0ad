import { validateCidString } from '@atproto/lex'

import { XrpcError, xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as listBlobs from '../../../protocol/lexicon/generated/com/atproto/sync/listBlobs.ts'
import { checkIsOwnDid, type PdsContext } from '../context.ts'

/** The PDS blobs that records name; image layers are not among them. */
export const listBlobsMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(listBlobs.main, async ({ params }) => {
    checkIsOwnDid(params.did, { identity })
    const { limit, since, cursor } = params
    if (cursor !== undefined && !validateCidString(cursor)) {
      throw new XrpcError(400, 'InvalidRequest', 'cursor is not one that this method gave')
    }
    const cids = await repo.listBlobCids({ limit, since, cursor })
    return { cids, cursor: cids.length < limit ? undefined : cids.at(-1) }
  })
