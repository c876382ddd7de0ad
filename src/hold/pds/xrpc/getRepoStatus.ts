import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getRepoStatus from '../../../protocol/lexicon/generated/com/atproto/sync/getRepoStatus.ts'
import { checkIsOwnDid, type PdsContext } from '../context.ts'

export const getRepoStatusMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(getRepoStatus.main, async ({ params }) => {
    checkIsOwnDid(params.did, { identity })
    return { did: repo.did, active: true, rev: repo.getLatestCommit().rev }
  })
