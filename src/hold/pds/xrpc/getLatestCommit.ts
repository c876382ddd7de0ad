import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getLatestCommit from '../../../protocol/lexicon/generated/com/atproto/sync/getLatestCommit.ts'
import { checkIsOwnDid, type PdsContext } from '../context.ts'

export const getLatestCommitMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(getLatestCommit.main, async ({ params }) => {
    checkIsOwnDid(params.did, { identity })
    return repo.getLatestCommit()
  })
