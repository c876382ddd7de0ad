import type { IncomingMessage, ServerResponse } from 'node:http'

import { requestAddress, trustedProxies } from '../../http/client-address.ts'
import { logAccess, securityHeadersFor } from '../../http/middleware.ts'
import { measureRequest } from '../../http/request-metrics.ts'
import type { RequestInterceptor } from '../../http/serve.ts'
import { logger } from '../../lib/log.ts'
import { traceOf, withTrace } from '../../lib/trace.ts'
import { parseRepositoryPath } from '../../protocol/oci/repository-path.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import type { RegistryAction } from '../services/registry-grants.ts'
import { jsonAnswer, sendAnswer, type Answer } from './answer.ts'
import { getBase } from './base.ts'
import { deleteBlob, getBlob, headBlob } from './blobs.ts'
import type { RegistryCall } from './call.ts'
import { ociErrorAnswer, toOciError } from './errors.ts'
import { authenticate, challenge, requireAction, type Wanted } from './guard.ts'
import { deleteManifest, getManifest, putManifest } from './manifests.ts'
import { getReferrers } from './referrers.ts'
import { routeClassOf } from './route-classes.ts'
import { parseRegistryPath, type RegistryRoute } from './routes.ts'
import { getTags } from './tags.ts'
import { deleteUpload, getUpload, patchUpload, postUpload, putUpload } from './uploads.ts'

type NamedRoute = Exclude<RegistryRoute, { kind: 'base' }>
type RouteOf<Kind> = Extract<NamedRoute, { kind: Kind }>
type Handler<Kind> = (
  call: RegistryCall,
  context: AppContext,
  route: RouteOf<Kind>,
) => Promise<Answer | Response>
/** What a method of a route wants to do, and what does it. */
type Methods<Kind> = Record<string, [RegistryAction, Handler<Kind>]>

const httpLog = logger('appview:http')

const readManifest: Handler<'manifest'> = (call, context, { reference }) =>
  getManifest(call, reference, context)
const readReferrers: Handler<'referrers'> = (call, context, { digest }) => getReferrers(call, digest, context)
const readUpload: Handler<'upload'> = (call, context, { uploadId }) => getUpload(call, uploadId, context)

/** Every endpoint of the distribution spec, once. */
const methods: { [Kind in NamedRoute['kind']]: Methods<Kind> } = {
  manifest: {
    GET: ['pull', readManifest],
    HEAD: ['pull', readManifest],
    PUT: ['push', (call, context, { reference }) => putManifest(call, reference, context)],
    DELETE: ['delete', (call, context, { reference }) => deleteManifest(call, reference, context)],
  },
  blob: {
    GET: ['pull', (call, context, { digest }) => getBlob(call, digest, context)],
    HEAD: ['pull', (call, context, { digest }) => headBlob(call, digest, context)],
    DELETE: ['delete', (call, context, { digest }) => deleteBlob(call, digest, context)],
  },
  uploads: { POST: ['push', postUpload] },
  upload: {
    GET: ['push', readUpload],
    HEAD: ['push', readUpload],
    PATCH: ['push', (call, context, { uploadId }) => patchUpload(call, uploadId, context)],
    PUT: ['push', (call, context, { uploadId }) => putUpload(call, uploadId, context)],
    DELETE: ['push', (call, context, { uploadId }) => deleteUpload(call, uploadId, context)],
  },
  tags: { GET: ['pull', getTags], HEAD: ['pull', getTags] },
  referrers: { GET: ['pull', readReferrers], HEAD: ['pull', readReferrers] },
}

/** What every answer below `/v2` carries. */
export const registryHeaders = { 'docker-distribution-api-version': 'registry/2.0' }

const noQuery = new URLSearchParams()

/** A request below `/v2`, by whichever way it came in. */
export interface RegistryRequest {
  incoming: IncomingMessage
  outgoing: ServerResponse
  requestId: string
  /** Of the client, for limits. */
  address: string
  /** For an answer that a handler writes straight to `outgoing`. */
  commonHeaders: Readonly<Record<string, string>>
}

/** By the raw path: a router would see `/v2/../x` resolved, and names may hold anything. */
export const isRegistryPath = (url: string) =>
  url.startsWith('/v2/') || url === '/v2' || url.startsWith('/v2?')

/**
 * Answers reads below `/v2` before any framework sees them; true when it does. Everything with a body goes the long
 * way, where what a handler left unread is dealt with.
 */
export function registryListener(context: AppContext): RequestInterceptor {
  const { base_url: publicUrl } = context.config.server
  const trusted = trustedProxies(context.settings)
  const headers = { ...securityHeadersFor(publicUrl), ...registryHeaders }
  return (incoming, outgoing) => {
    const isRead = incoming.method === 'GET' || incoming.method === 'HEAD'
    if (!isRead || !isRegistryPath(incoming.url ?? '')) return false
    const trace = traceOf(incoming.headers)
    const { requestId } = trace
    const address = requestAddress(incoming, trusted)
    const commonHeaders = { ...headers, 'x-request-id': requestId }
    const request = { incoming, outgoing, requestId, address, commonHeaders }
    void withTrace(trace, () => answerRead(request, context))
    return true
  }
}

async function answerRead(request: RegistryRequest, context: AppContext): Promise<void> {
  const startedAtMs = performance.now()
  const { incoming, outgoing, requestId } = request
  try {
    await sendAnswer(outgoing, await handleRegistry(request, context), request.commonHeaders)
  } catch (err) {
    context.log.error({ err, requestId }, 'an answer could not be sent')
    outgoing.destroy()
  }
  const call = { incoming, status: outgoing.statusCode, requestId, startedAtMs }
  logAccess(httpLog, call)
  measureRequest({ ...call, program: 'appview', route: routeClassOf(incoming.url ?? '') })
}

/** Answers every request below `/v2`, failures included. */
export async function handleRegistry(
  request: RegistryRequest,
  context: AppContext,
): Promise<Answer | Response> {
  const { incoming, outgoing, commonHeaders } = request
  let wanted: Pick<Wanted, 'name' | 'action'> | undefined
  const { address } = request
  const { limits } = context
  try {
    checkRate(limits.ofAddressHere('registry_reads', address), 'your network')
    const [path, search] = splitOnce(incoming.url ?? '', '?')
    const route = parseRegistryPath(path)
    const method = incoming.method ?? 'GET'
    if (route.kind === 'base') {
      if (method !== 'GET' && method !== 'HEAD') throw unsupported(method)
      await authenticate(context.registryTokens, incoming)
      return getBase()
    }
    const repositoryPath = parseRepositoryPath(route.name)
    const [action, handle] = (methods[route.kind] as Methods<typeof route.kind>)[method] ?? []
    if (action === undefined || handle === undefined) throw unsupported(method)
    wanted = { name: route.name, action }
    const holder = await authenticate(context.registryTokens, incoming)
    if (action !== 'pull' && holder.did !== undefined)
      checkRate(await limits.ofAccount('registry_writes', holder.did), 'your account')
    const repository = await context.repositories.resolve(repositoryPath, async () =>
      checkRate(await limits.ofAddress('name_lookups', address), 'your network'),
    )
    await requireAction(context.repositories, holder, { name: route.name, repository, action })
    const query = search === '' ? noQuery : new URLSearchParams(search)
    const call = { method, name: route.name, repository, holder, query, incoming, outgoing, commonHeaders }
    return await handle(call, context, route)
  } catch (error) {
    return failureAnswer(request.requestId, context, error, wanted)
  }
}

function failureAnswer(
  requestId: string,
  context: AppContext,
  error: unknown,
  wanted: Pick<Wanted, 'name' | 'action'> | undefined,
): Answer {
  const { status } = toOciError(error, requestId)
  if (status === 500) context.log.error({ err: error, requestId }, 'a request to the registry failed')
  else if (status >= 500) context.log.warn({ err: error, requestId }, 'a request to the registry has to wait')
  if (!(error instanceof AppViewError) || status !== 401) return ociErrorAnswer(error, requestId)
  const place = { realm: context.tokenRealm, service: context.registryTokens.service }
  const headers = { 'www-authenticate': challenge(place, error, wanted) }
  // `curl <base>/v2/` on a fresh install prints `{}`; Docker takes its challenge from this very answer.
  if (wanted === undefined && error.code === 'login_required') return jsonAnswer({}, status, headers)
  return ociErrorAnswer(error, requestId, headers)
}

/** @throws {AppViewError} `rate_limited` when there are seconds to wait */
function checkRate(waitSeconds: number | undefined, whose: string): void {
  if (waitSeconds === undefined) return
  const message = `too many requests of ${whose}; try again in ${waitSeconds} s`
  throw new AppViewError('rate_limited', message, { retryAfterSeconds: waitSeconds })
}

const unsupported = (method: string) => new AppViewError('method_unsupported', `${method} means nothing here`)

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
