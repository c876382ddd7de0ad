import { XrpcError, xrpcMethod } from '../../http/xrpc-routes.ts'
import * as applyWrites from '../../protocol/lexicon/generated/com/atproto/repo/applyWrites.ts'
import { checkIsOwnActor } from '../pds/context.ts'
import type { WriteResult } from '../pds/repo.ts'
import type { RecordWrite } from '../pds/write-plan.ts'
import { answerCaller } from './authenticate.ts'
import { validationOf, type RecordWriteNeeds } from './record-write.ts'

type Action = 'create' | 'update' | 'delete'

/** Several writes in one commit, or none of them. */
export const applyWritesMethod = (context: RecordWriteNeeds) =>
  xrpcMethod(applyWrites.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      const { repo, writes, validate, swapCommit } = call.input
      checkIsOwnActor(repo, context)
      const conditions = { swapCommit, validation: validationOf(validate) }
      const answer = await context.recordWrites.apply(callerDid, writes.map(toWrite), conditions)
      return {
        commit: answer.isChanged ? answer.commit : undefined,
        results: answer.results.map((result, index) => toResult(actionOf(writes[index]?.$type), result)),
      }
    }),
  )

function toWrite(write: { $type?: string; collection: string; rkey?: string; value?: unknown }): RecordWrite {
  const { collection, rkey, value: record } = write
  const action = actionOf(write.$type)
  if (action === 'create') return { action, collection, rkey, record }
  // The lexicon has seen to it that there is one.
  if (rkey === undefined) throw new XrpcError(400, 'InvalidRequest', 'rkey is missing')
  return action === 'delete' ? { action, collection, rkey } : { action, collection, rkey, record }
}

function toResult(action: Action, { uri, cid, validationStatus }: WriteResult): object {
  const $type = `com.atproto.repo.applyWrites#${action}Result`
  return action === 'delete' ? { $type } : { $type, uri, cid, validationStatus }
}

function actionOf(type: string | undefined): Action {
  return (type?.split('#')[1] ?? 'create') as Action
}
