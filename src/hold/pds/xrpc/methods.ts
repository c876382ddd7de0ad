import type { XrpcMethod } from '../../../http/xrpc-routes.ts'
import type { PdsContext } from '../context.ts'
import { describeRepoMethod } from './describeRepo.ts'
import { describeServerMethod } from './describeServer.ts'
import { getBlocksMethod } from './getBlocks.ts'
import { getLatestCommitMethod } from './getLatestCommit.ts'
import { getProfileMethod } from './getProfile.ts'
import { getProfilesMethod } from './getProfiles.ts'
import { getRecordMethod } from './getRecord.ts'
import { getRecordProofMethod } from './getRecordProof.ts'
import { getRepoMethod } from './getRepo.ts'
import { getRepoStatusMethod } from './getRepoStatus.ts'
import { listBlobsMethod } from './listBlobs.ts'
import { listRecordsMethod } from './listRecords.ts'
import { listReposMethod } from './listRepos.ts'
import { resolveHandleMethod } from './resolveHandle.ts'

/** The methods that anyone may call on a PDS, and about its profile; `subscribeRepos` is in `outbox.ts`. */
export function pdsMethods(context: PdsContext): XrpcMethod[] {
  const makers = [
    describeServerMethod,
    resolveHandleMethod,
    describeRepoMethod,
    getRecordMethod,
    listRecordsMethod,
    listReposMethod,
    getRepoMethod,
    getRecordProofMethod,
    getBlocksMethod,
    getLatestCommitMethod,
    getRepoStatusMethod,
    listBlobsMethod,
    getProfileMethod,
    getProfilesMethod,
  ]
  return makers.map((make) => make(context))
}
