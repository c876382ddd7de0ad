import { lexToJson, type LexValue } from '@atproto/lex'

import { xrpcMethod } from '../../http/xrpc-routes.ts'
import * as exportUserData from '../../protocol/lexicon/generated/io/atcr/hold/exportUserData.ts'
import type { HoldContext } from '../context.ts'
import { answerCaller, type CallerNeeds } from './authenticate.ts'

/** Everything this hold keeps about the caller; sent as it is read, so that it may be of any length. */
export const exportUserDataMethod = (context: CallerNeeds & Pick<HoldContext, 'userData'>) =>
  xrpcMethod(exportUserData.main, (call) =>
    answerCaller(call, context, async (callerDid) => {
      const body = ReadableStream.from(encoded(jsonOfLists(context.userData.export(callerDid))))
      return new Response(body, { headers: { 'content-type': 'application/json' } })
    }),
  )

async function* jsonOfLists(lists: Record<string, AsyncIterable<unknown>>): AsyncGenerator<string> {
  let before = '{'
  for (const [name, list] of Object.entries(lists)) {
    yield `${before}\n${JSON.stringify(name)}:[`
    let separator = ''
    for await (const item of list) {
      yield `${separator}\n${JSON.stringify(lexToJson(item as LexValue))}`
      separator = ','
    }
    before = '],'
  }
  yield ']}\n'
}

async function* encoded(texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  for await (const text of texts) yield encoder.encode(text)
}
