import { XrpcError, xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getProfile from '../../../protocol/lexicon/generated/app/bsky/actor/getProfile.ts'
import { isOwnActor, type PdsContext } from '../context.ts'
import { profileView } from '../profile-view.ts'

/** The hold's own profile; it knows nobody else's. */
export const getProfileMethod = (context: PdsContext) =>
  xrpcMethod(getProfile.main, async ({ params }) => {
    if (isOwnActor(params.actor, context)) return profileView(context)
    throw new XrpcError(400, 'InvalidRequest', `this server has the profile of ${context.identity.did} only`)
  })
