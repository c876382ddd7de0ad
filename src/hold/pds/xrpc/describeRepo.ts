import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as describeRepo from '../../../protocol/lexicon/generated/com/atproto/repo/describeRepo.ts'
import { checkIsOwnActor, type PdsContext } from '../context.ts'

export const describeRepoMethod = ({ repo, identity }: PdsContext) =>
  xrpcMethod(describeRepo.main, async ({ params }) => {
    checkIsOwnActor(params.repo, { identity })
    return {
      did: identity.did,
      // What the protocol says in place of a handle that does not resolve.
      handle: identity.handle ?? 'handle.invalid',
      didDoc: { ...identity.document },
      collections: await repo.listCollections(),
      handleIsCorrect: identity.handle !== undefined,
    }
  })
