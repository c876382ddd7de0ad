import { parseCid } from '@atproto/lex'
import { blocksToCarFile } from '@atproto/repo'

import { XrpcError, xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getBlocks from '../../../protocol/lexicon/generated/com/atproto/sync/getBlocks.ts'
import { carResponse } from '../car-response.ts'
import { checkIsOwnDid, type PdsContext } from '../context.ts'

export const getBlocksMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(getBlocks.main, async ({ params }) => {
    checkIsOwnDid(params.did, { identity })
    const { blocks, missing } = await repo.getBlocks(params.cids.map((cid) => parseCid(cid)))
    if (missing.length > 0) {
      throw new XrpcError(400, 'BlockNotFound', `not in this data repo: ${missing.join(', ')}`)
    }
    return carResponse(await blocksToCarFile(null, blocks))
  })
