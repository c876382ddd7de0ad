import type { Hono } from 'hono'

import { clientAddressOf } from '../../http/client-address.ts'
import type { ServerEnv } from '../../http/serve.ts'
import { renderXrpcError, XrpcError } from '../../http/xrpc-routes.ts'
import type { HoldContext } from '../context.ts'

/** Methods whose answers are as long as the data repo. */
const exportNsids = ['com.atproto.sync.getRepo', 'com.atproto.sync.getBlocks']

/** Limits how often one network may call. Mounted before the methods. */
export function limitXrpc(app: Hono<ServerEnv>, { limits }: Pick<HoldContext, 'limits'>): void {
  app.use('/xrpc/*', async (context, next) => {
    const waitSeconds = limits.ofAddressHere('xrpc_calls', clientAddressOf(context))
    return waitSeconds === undefined ? next() : answerBusy(waitSeconds)
  })
  for (const nsid of exportNsids) {
    app.use(`/xrpc/${nsid}`, async (context, next) => {
      const waitSeconds = limits.ofAddressHere('repo_exports', clientAddressOf(context))
      return waitSeconds === undefined ? next() : answerBusy(waitSeconds)
    })
  }
}

function answerBusy(waitSeconds: number): Response {
  const message = `too many calls of your network; try again in ${waitSeconds} s`
  const headers = { 'retry-after': String(waitSeconds) }
  return renderXrpcError(new XrpcError(429, 'RateLimitExceeded', message, { headers }))
}
