import {
  jsonToLex,
  lexToJson,
  type JsonValue,
  type InferMethodInputBody,
  type InferMethodOutputBody,
  type InferMethodParams,
  type Procedure,
  type Query,
} from '@atproto/lex'
import type { Context, Hono } from 'hono'

import { CodedError } from '../lib/errors.ts'
import { ByteLimitError, collectBytes } from '../lib/streams.ts'
import type { ServerEnv } from './serve.ts'

/** What a handler is given: validated parameters and input, and the request for its headers. */
export interface XrpcCall<P, I> {
  params: P
  input: I
  nsid: string
  context: Context<ServerEnv>
}

/** One lexicon method with what answers it. */
export interface XrpcMethod {
  schema: Query | Procedure
  handle(call: XrpcCall<never, never>): Promise<unknown>
}

/**
 * Binds a lexicon method to its handler. The handler's result is the output body, or a `Response` for
 * anything that is not JSON.
 */
export function xrpcMethod<M extends Query | Procedure>(
  schema: M,
  handle: (
    call: XrpcCall<InferMethodParams<M>, InferMethodInputBody<M>>,
  ) => Promise<InferMethodOutputBody<M> | Response | undefined>,
): XrpcMethod {
  return { schema, handle: handle }
}

/** An answer of the form `{error, message}` with a status: what XRPC calls an error. */
export class XrpcError extends CodedError<string> {
  readonly status: number
  readonly headers: Record<string, string>

  constructor(
    status: number,
    error: string,
    message: string,
    options: { cause?: unknown; headers?: Record<string, string> } = {},
  ) {
    super(error, message, options)
    this.status = status
    this.headers = options.headers ?? {}
  }
}

const inputBytesMax = 5 * 1024 * 1024

/**
 * Mounts a table of methods under `/xrpc/`. Unknown methods answer 501, wrong verbs 405, parameters and inputs that do
 * not fit the lexicon 400 `InvalidRequest`; whatever a handler throws is first shown to `translate`.
 */
export function mountXrpc(
  app: Hono<ServerEnv>,
  methods: readonly XrpcMethod[],
  options: { translate: (error: unknown, context: Context<ServerEnv>) => XrpcError },
): void {
  const table = new Map(methods.map((method) => [method.schema.nsid as string, method]))
  app.all('/xrpc/:nsid', async (context) => {
    try {
      const nsid = context.req.param('nsid')
      const method = table.get(nsid)
      if (method === undefined)
        throw new XrpcError(501, 'MethodNotImplemented', `${nsid} is not a method of this service`)
      return await answer(method, nsid, context)
    } catch (error) {
      const failure = error instanceof XrpcError ? error : options.translate(error, context)
      return renderXrpcError(failure)
    }
  })
}

export function renderXrpcError(error: XrpcError): Response {
  return Response.json(
    { error: error.code, message: error.message },
    { status: error.status, headers: error.headers },
  )
}

async function answer(method: XrpcMethod, nsid: string, context: Context<ServerEnv>): Promise<Response> {
  const { schema } = method
  const verbs = schema.type === 'query' ? ['GET', 'HEAD'] : ['POST']
  if (!verbs.includes(context.req.method)) {
    throw new XrpcError(405, 'InvalidRequest', `${nsid} takes ${verbs.join(' or ')}`, {
      headers: { allow: verbs.join(', ') },
    })
  }
  const search = new URL(context.req.url).searchParams
  const params = invalidUnless(() => schema.parameters.fromURLSearchParams(search))
  const input = schema.type === 'procedure' ? await readInput(schema, context) : undefined
  const output = await method.handle({ params, input, nsid, context } as never)
  if (output instanceof Response) return output
  return Response.json(output === undefined ? {} : lexToJson(output))
}

async function readInput(schema: Procedure, context: Context<ServerEnv>): Promise<unknown> {
  const { input } = schema
  if (input.encoding === undefined) return undefined
  if (input.encoding !== 'application/json') return undefined // The handler streams it from the raw request.
  // Leaving early keeps the connection, so that a refusal can still be answered.
  const body = context.env.incoming.iterator({ destroyOnReturn: false })
  const bytes = await collectBytes(body, inputBytesMax).catch((error: unknown) => {
    if (error instanceof ByteLimitError)
      throw new XrpcError(413, 'PayloadTooLarge', `at most ${inputBytesMax} bytes`)
    throw error
  })
  const value = invalidUnless(() =>
    jsonToLex(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as JsonValue),
  )
  const { schema: shape } = input
  return shape === undefined ? value : invalidUnless(() => shape.parse(value))
}

function invalidUnless<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new XrpcError(
      400,
      'InvalidRequest',
      cause instanceof Error ? cause.message : 'the request does not fit the lexicon',
      { cause },
    )
  }
}
