import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as listRepos from '../../../protocol/lexicon/generated/com/atproto/sync/listRepos.ts'
import type { PdsContext } from '../context.ts'

/** One page with one data repo; a cursor means that it has been seen. */
export const listReposMethod = ({ repo }: Pick<PdsContext, 'repo'>) =>
  xrpcMethod(listRepos.main, async ({ params }) => {
    if (params.cursor !== undefined) return { repos: [] }
    const { cid, rev } = repo.getLatestCommit()
    return { repos: [{ did: repo.did, head: cid, rev, active: true }] }
  })
