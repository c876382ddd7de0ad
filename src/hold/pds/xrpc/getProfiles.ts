import { xrpcMethod } from '../../../http/xrpc-routes.ts'
import * as getProfiles from '../../../protocol/lexicon/generated/app/bsky/actor/getProfiles.ts'
import { isOwnActor, type PdsContext } from '../context.ts'
import { profileView } from '../profile-view.ts'

/** Those of the profiles asked for that are here: the hold's own, or none. */
export const getProfilesMethod = (context: PdsContext) =>
  xrpcMethod(getProfiles.main, async ({ params }) => ({
    profiles: params.actors.some((actor) => isOwnActor(actor, context)) ? [await profileView(context)] : [],
  }))
