import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as createRecord from '../../protocol/lexicon/generated/com/atproto/repo/createRecord.ts'
import { checkIsOwnActor } from '../pds/context.ts'
import { answerCaller } from './authenticate.ts'
import { validationOf, type RecordWriteNeeds } from './record-write.ts'

/** A new record, by the captain or crew who administer the hold. */
export const createRecordMethod = (context: RecordWriteNeeds) =>
  xrpcMethod(createRecord.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      const { repo, collection, rkey, record, validate, swapCommit } = call.input
      checkIsOwnActor(repo, context)
      const write = { action: 'create', collection, rkey, record } as const
      const conditions = { swapCommit, validation: validationOf(validate) }
      const { commit, results } = await context.recordWrites.apply(callerDid, [write], conditions)
      return { ...results[0], commit }
    }),
  )
