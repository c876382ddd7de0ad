import type { AtUriString } from '@atproto/lex'

import { normalizeDid } from '../../atproto/syntax.ts'
import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as notifyManifest from '../../protocol/lexicon/generated/io/atcr/hold/notifyManifest.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type { HoldContext } from '../context.ts'
import { answerAnyone, type CallerNeeds } from './authenticate.ts'

/** A manifest was pushed, and names blobs of ours from now on; or pulled, and is counted. */
export const notifyManifestMethod = (context: CallerNeeds & Pick<HoldContext, 'access' | 'notices'>) =>
  xrpcMethod(notifyManifest.main, (call) =>
    answerAnyone(call, context, async (callerDid) => {
      const { operation, repository, userDid, manifestDigest, manifest, tag, count = 1 } = call.input
      const digest = parseDigest(manifestDigest)
      switch (operation) {
        case 'pull': {
          await context.access.check(callerDid, 'blob:read')
          const reporter = callerDid ?? call.context.env.incoming.socket.remoteAddress ?? ''
          const statsUpdated = await context.notices.pull({ ownerDid: userDid, repository }, count, reporter)
          return { success: true, operation, statsUpdated }
        }
        case 'push': {
          await context.access.check(callerDid, 'blob:write')
          if (callerDid === undefined || normalizeDid(callerDid) !== normalizeDid(userDid)) {
            throw new HoldError('user_mismatch', `${callerDid} does not push for ${userDid}`)
          }
          const notice = { ownerDid: userDid, repository, digest, tag }
          const { layersCreated, post } = await context.notices.push(notice, manifest)
          return { success: true, operation, statsUpdated: true, layersCreated, ...postAnswer(post) }
        }
        default:
          throw new HoldError('operation_invalid', 'operation is push or pull')
      }
    }),
  )

function postAnswer(post: { uri: string; isNew: boolean } | undefined) {
  return post === undefined ? {} : { postCreated: post.isNew, postUri: post.uri as AtUriString }
}
