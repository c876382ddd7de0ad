import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as describeServer from '../../../protocol/lexicon/generated/com/atproto/server/describeServer.ts'
import type { PdsContext } from '../context.ts'

/** One account lives here, the hold itself; nobody else can get one. */
export const describeServerMethod = ({ identity }: Pick<PdsContext, 'identity'>) =>
  xrpcMethod(describeServer.main, async () => ({
    did: identity.did,
    availableUserDomains: [],
    inviteCodeRequired: true,
  }))
