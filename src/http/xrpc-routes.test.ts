import { Hono } from 'hono'
import { afterAll, beforeAll, expect, test } from 'vitest'

import * as getQuota from '../protocol/lexicon/generated/io/atcr/hold/getQuota.ts'
import * as initiateUpload from '../protocol/lexicon/generated/io/atcr/hold/initiateUpload.ts'
import { requestId } from './middleware.ts'
import { serve, type RunningServer, type ServerEnv } from './serve.ts'
import { mountXrpc, XrpcError, xrpcMethod } from './xrpc-routes.ts'

let running: RunningServer
let url: string

beforeAll(async () => {
  const app = new Hono<ServerEnv>()
  app.use(requestId())
  mountXrpc(
    app,
    [
      xrpcMethod(getQuota.main, async ({ params }) => ({
        userDid: params.userDid,
        uniqueBlobs: 1,
        totalSize: 2,
      })),
      xrpcMethod(initiateUpload.main, async ({ input }) => {
        if (input.digest === 'boom') throw new Error('secret detail')
        return { uploadId: `for ${input.digest}` }
      }),
    ],
    { translate: (cause) => new XrpcError(500, 'InternalServerError', 'internal error', { cause }) },
  )
  running = await serve(app, { hostname: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${running.port}/xrpc`
})
afterAll(() => running[Symbol.asyncDispose]())

async function call(path: string, init?: RequestInit): Promise<[number, unknown]> {
  const response = await globalThis.fetch(`${url}/${path}`, init)
  return [response.status, await response.json()]
}
const post = (body: string) => call('io.atcr.hold.initiateUpload', { method: 'POST', body, headers: { 'content-type': 'application/json' } }) // prettier-ignore

test('a query answers with its validated parameters', async () => {
  expect(await call('io.atcr.hold.getQuota?userDid=did:plc:abc')).toEqual([
    200,
    { userDid: 'did:plc:abc', uniqueBlobs: 1, totalSize: 2 },
  ])
})

test('bad input is told in the form of XRPC, never as a 5xx', async () => {
  for (const attempt of [
    call('io.atcr.hold.getQuota'),
    call('io.atcr.hold.getQuota?userDid=nobody'),
    post('{'),
    post('{"digest": 5}'),
    post(''),
    post('\xff'),
  ]) {
    const [status, body] = await attempt
    expect(status).toBe(400)
    expect(body).toMatchObject({ error: 'InvalidRequest' })
  }
  expect((await post('{"digest":"x"}'))[1]).toEqual({ uploadId: 'for x' })
})

test('unknown methods, wrong verbs and failures have their own answers', async () => {
  expect((await call('io.atcr.hold.nope'))[0]).toBe(501)
  expect((await call('io.atcr.hold.initiateUpload'))[0]).toBe(405)
  expect(await post('{"digest":"boom"}')).toEqual([
    500,
    { error: 'InternalServerError', message: 'internal error' },
  ])
})
