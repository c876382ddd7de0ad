import { validateCidString } from '@atproto/lex'
import type { Context, Hono } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { renderXrpcError, XrpcError } from '../../http/xrpc-routes.ts'
import { parseDigest } from '../../protocol/oci/digest.ts'
import { HoldError } from '../errors.ts'
import type { HoldContext } from '../context.ts'
import { checkIsOwnDid } from '../pds/context.ts'
import type { PdsBlobContent } from '../pds/blobs.ts'
import { toXrpcError } from './errors.ts'
import { presigned } from './presigned-log.ts'
import { answerAnyone, type CallerNeeds } from './authenticate.ts'

type Needs = CallerNeeds & Pick<HoldContext, 'access' | 'blobs' | 'pdsBlobs' | 'identity'>

const nsid = 'com.atproto.sync.getBlob'

/**
 * `com.atproto.sync.getBlob`. For a CID, the bytes of a PDS blob that a record of the hold names. For an OCI digest in its
 * place, `{url}`: a presigned URL for `method` (GET or HEAD). Not in the table of methods, because a digest does not fit
 * the lexicon. Both are for those who may read here.
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
    if (!/^sha\d/i.test(cid)) return pdsBlobResponse(cid, await findPdsBlob(context, needs, cid))
    const digest = parseDigest(cid)
    const url = await needs.blobs.presignGet(digest, method)
    presigned({ what: 'read', account: callerDid, digest, method })
    return { url }
  })
}

async function findPdsBlob(context: Context<ServerEnv>, needs: Needs, cid: string): Promise<PdsBlobContent> {
  if (!validateCidString(cid)) throw new XrpcError(400, 'InvalidRequest', 'cid is no CID')
  checkIsOwnDid(context.req.query('did') ?? '', needs)
  const blob = await needs.pdsBlobs.find(cid)
  if (blob === undefined) throw new HoldError('blob_unknown', 'no record of this hold names such a blob')
  return blob
}

/** Whatever was uploaded, a browser that is led here saves it, and runs nothing. */
function pdsBlobResponse(cid: string, { mimeType, bytes }: PdsBlobContent): Response {
  return new Response(new Uint8Array(bytes), {
    headers: {
      'content-type': mimeType,
      'content-length': String(bytes.byteLength),
      'content-disposition': `attachment; filename="${cid}"`,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
    },
  })
}
