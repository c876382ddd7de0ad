import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as initiateUpload from '../../protocol/lexicon/generated/io/atcr/hold/initiateUpload.ts'
import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import type { HoldContext } from '../context.ts'
import { directUploadPath } from '../services/capabilities.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** Begins the upload of one blob; with `direct`, at a URL that takes the bytes here. */
export const initiateUploadMethod = (
  context: CallerNeeds & Pick<HoldContext, 'access' | 'uploads' | 'capabilities' | 'publicUrl'>,
) =>
  xrpcMethod(initiateUpload.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      await context.access.check(callerDid, 'blob:write')
      await context.access.checkTakesUploads()
      const { digest, size, direct, blobsUrl } = call.input
      const { id } = await context.uploads.begin({
        userDid: callerDid,
        mode: direct === true ? 'direct' : 'relay',
        digest: announcedDigest(digest),
        sizeBytes: size,
        blobsUrl,
      })
      const uploadUrl = `${context.publicUrl}${directUploadPath(context.capabilities.mint(id))}`
      return direct === true ? { uploadId: id, uploadUrl } : { uploadId: id }
    }),
  )

/** A client that does not know its digest yet has the AppView say `uploads/<anything>`. */
function announcedDigest(text: string): Digest | undefined {
  return text.startsWith('uploads/') ? undefined : parseDigest(text)
}
