import type { XrpcMethod } from '../../http/xrpc-routes.ts'
import type { HoldContext } from '../context.ts'
import { abortUploadMethod } from './abortUpload.ts'
import { applyWritesMethod } from './applyWrites.ts'
import { completeUploadMethod } from './completeUpload.ts'
import { createRecordMethod } from './createRecord.ts'
import { deleteRecordMethod } from './deleteRecord.ts'
import { deleteUserDataMethod } from './deleteUserData.ts'
import { exportUserDataMethod } from './exportUserData.ts'
import { getPartUploadUrlMethod } from './getPartUploadUrl.ts'
import { getUploadStatusMethod } from './getUploadStatus.ts'
import { importRepoMethod } from './importRepo.ts'
import { getQuotaMethod } from './getQuota.ts'
import { initiateUploadMethod } from './initiateUpload.ts'
import { listTiersMethod } from './listTiers.ts'
import { listMissingBlobsMethod } from './listMissingBlobs.ts'
import { notifyManifestMethod } from './notifyManifest.ts'
import { putRecordMethod } from './putRecord.ts'
import { requestCrewMethod } from './requestCrew.ts'
import { updateCrewTierMethod } from './updateCrewTier.ts'
import { uploadBlobMethod } from './uploadBlob.ts'

/** The `io.atcr.hold` methods, and what the captain may call of `com.atproto`. */
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
    updateCrewTierMethod,
    exportUserDataMethod,
    deleteUserDataMethod,
    createRecordMethod,
    putRecordMethod,
    deleteRecordMethod,
    applyWritesMethod,
    uploadBlobMethod,
    listMissingBlobsMethod,
    importRepoMethod,
  ]
  return makers.map((make) => make(context))
}
