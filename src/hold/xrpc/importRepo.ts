import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as importRepo from '../../protocol/lexicon/generated/com/atproto/repo/importRepo.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** Less than `repo import` takes on the machine itself, because the file is held whole while others are served. */
const bodyBytesMax = 64 * 1024 * 1024

/** Takes the records of a CAR file into the data repo; the captain's alone. */
export const importRepoMethod = (context: CallerNeeds & Pick<HoldContext, 'repoImport'>) =>
  xrpcMethod(importRepo.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      // Leaving early keeps the connection, so that a refusal can still be answered.
      const body = call.context.env.incoming.iterator({ destroyOnReturn: false })
      await context.repoImport.importFor(callerDid, body, bodyBytesMax)
      return {}
    }),
  )
