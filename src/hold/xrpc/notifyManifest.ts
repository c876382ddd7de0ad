import type { AtUriString } from '@atproto/lex'

import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { clientAddressOf } from '../../http/client-address.ts'
import { xrpcMethod } from '../../http/xrpc-routes.ts'
import { networkOf } from '../../lib/networks.ts'
import * as notifyManifest from '../../protocol/lexicon/generated/io/atcr/hold/notifyManifest.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type { HoldContext } from '../context.ts'
import { manifestUriOf } from '../services/layers.ts'
import { answerAnyone, type CallerNeeds } from './authenticate.ts'

/** A manifest was pushed, and names blobs of ours from now on; or pulled, and is counted; or deleted. */
export const notifyManifestMethod = (
  context: CallerNeeds & Pick<HoldContext, 'access' | 'manifestMarking' | 'notices'>,
) =>
  xrpcMethod(notifyManifest.main, (call) =>
    answerAnyone(call, context, async (callerDid) => {
      const { operation, repository, userDid, manifestDigest, manifest, tag, count = 1 } = call.input
      const digest = parseDigest(manifestDigest)
      switch (operation) {
        case 'pull': {
          await context.access.check(callerDid, 'blob:read')
          const reporter = callerDid ?? networkOf(clientAddressOf(call.context))
          const statsUpdated = await context.notices.pull({ ownerDid: userDid, repository }, count, reporter)
          return { success: true, operation, statsUpdated }
        }
        case 'push': {
          await context.access.check(callerDid, 'blob:write')
          const notice = { ownerDid: ownerOf(callerDid, userDid), repository, digest, tag }
          const { layersCreated, post } = await context.notices.push(notice, manifest)
          return { success: true, operation, statsUpdated: true, layersCreated, ...postAnswer(post) }
        }
        case 'delete': {
          const uri = manifestUriOf({ ownerDid: ownerOf(callerDid, userDid), digest })
          // Whoever left the crew may still let go of what is his; the PDS is believed, not the notice.
          const outcome = await context.manifestMarking.removeIfGone(normalizeDid(userDid), uri)
          return { success: true, operation, statsUpdated: false, layersRemoved: outcome === 'removed' }
        }
        default:
          throw new HoldError('operation_invalid', 'operation is push, pull or delete')
      }
    }),
  )

/** @throws {HoldError} `auth_required`, `user_mismatch` */
function ownerOf(callerDid: Did | undefined, userDid: Did): Did {
  if (callerDid === undefined) throw new HoldError('auth_required', 'this operation needs a service token')
  if (normalizeDid(callerDid) === normalizeDid(userDid)) return userDid
  throw new HoldError('user_mismatch', `${callerDid} does not speak for ${userDid}`)
}

function postAnswer(post: { uri: string; isNew: boolean } | undefined) {
  return post === undefined ? {} : { postCreated: post.isNew, postUri: post.uri as AtUriString }
}
