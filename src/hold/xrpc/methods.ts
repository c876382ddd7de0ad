import type { XrpcMethod } from '../../http/xrpc-routes.ts'
import type { HoldContext } from '../context.ts'
import { abortUploadMethod } from './abortUpload.ts'
import { completeUploadMethod } from './completeUpload.ts'
import { getPartUploadUrlMethod } from './getPartUploadUrl.ts'
import { getUploadStatusMethod } from './getUploadStatus.ts'
import { getQuotaMethod } from './getQuota.ts'
import { initiateUploadMethod } from './initiateUpload.ts'
import { listTiersMethod } from './listTiers.ts'
import { notifyManifestMethod } from './notifyManifest.ts'
import { requestCrewMethod } from './requestCrew.ts'

/** The `io.atcr.hold` methods. */
export function holdMethods(context: HoldContext): XrpcMethod[] {
  const makers = [
    initiateUploadMethod,
    getPartUploadUrlMethod,
    completeUploadMethod,
    abortUploadMethod,
    getUploadStatusMethod,
    notifyManifestMethod,
    requestCrewMethod,
    getQuotaMethod,
    listTiersMethod,
  ]
  return makers.map((make) => make(context))
}
