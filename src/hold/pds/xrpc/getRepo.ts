import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getRepo from '../../../protocol/lexicon/generated/com/atproto/sync/getRepo.ts'
import { carResponse } from '../car-response.ts'
import { checkIsOwnDid, type PdsContext } from '../context.ts'

/** The whole data repo, streamed; with `since` the blocks added after that rev. */
export const getRepoMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(getRepo.main, async ({ params }) => {
    checkIsOwnDid(params.did, { identity })
    return carResponse(repo.exportCar({ since: params.since }))
  })
