import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { renderXrpcError, XrpcError } from '../../http/xrpc-routes.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type { HoldContext } from '../context.ts'
import { toXrpcError } from './errors.ts'
import { answerAnyone, type CallerNeeds } from './authenticate.ts'

type Needs = CallerNeeds & Pick<HoldContext, 'access' | 'blobs'>

const nsid = 'com.atproto.sync.getBlob'

/**
 * `com.atproto.sync.getBlob` with an OCI digest where the lexicon wants a CID: answers `{url}`, a presigned URL for
 * `method` (GET or HEAD). Not in the table of methods, because a digest does not fit the lexicon.
 */
export function mountGetBlob(app: Hono<ServerEnv>, needs: Needs): void {
  app.on(['GET', 'HEAD'], `/xrpc/${nsid}`, async (context) => {
    try {
      return await answer(context, needs)
    } catch (error) {
      return renderXrpcError(toXrpcError(error))
    }
  })
}

async function answer(context: Context<ServerEnv>, needs: Needs): Promise<Response> {
  const cid = context.req.query('cid')
  const method = (context.req.query('method') ?? context.req.method).toUpperCase()
  if (cid === undefined) throw new XrpcError(400, 'InvalidRequest', 'cid is missing')
  if (method !== 'GET' && method !== 'HEAD')
    throw new XrpcError(400, 'InvalidRequest', 'method is GET or HEAD')
  return answerAnyone({ nsid, context }, needs, async (callerDid) => {
    await needs.access.check(callerDid, 'blob:read')
    if (!/^sha\d/i.test(cid)) throw new HoldError('blob_unknown', 'this hold keeps no such ATProto blob')
    const url = await needs.blobs.presignGet(parseDigest(cid), method)
    return { url }
  })
}
