import { XrpcError, xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as resolveHandle from '../../../protocol/lexicon/generated/com/atproto/identity/resolveHandle.ts'
import type { PdsContext } from '../context.ts'

/** Knows the hold's own handle only. */
export const resolveHandleMethod = ({ identity }: Pick<PdsContext, 'identity'>) =>
  xrpcMethod(resolveHandle.main, async ({ params }) => {
    if (params.handle.toLowerCase() === identity.handle) return { did: identity.did }
    throw new XrpcError(400, 'HandleNotFound', `${params.handle} is not a handle of this server`)
  })
