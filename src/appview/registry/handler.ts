import type { Context } from 'hono'

import type { ServerEnv } from '../../http/serve.ts'
import { parseRepositoryPath } from '../../protocol/oci/repository-path.ts'
import type { AppContext } from '../context.ts'
import { AppViewError } from '../errors.ts'
import type { RegistryAction } from '../services/registry-grants.ts'
import { getBase } from './base.ts'
import { deleteBlob, getBlob, headBlob } from './blobs.ts'
import type { RegistryCall } from './call.ts'
import { renderOciError, toOciError } from './errors.ts'
import { authenticate, challenge, requireAction, type Wanted } from './guard.ts'
import { deleteManifest, getManifest, putManifest } from './manifests.ts'
import { getReferrers } from './referrers.ts'
import { parseRegistryPath, type RegistryRoute } from './routes.ts'
import { getTags } from './tags.ts'
import { deleteUpload, getUpload, patchUpload, postUpload, putUpload } from './uploads.ts'

type NamedRoute = Exclude<RegistryRoute, { kind: 'base' }>
type Handler = (call: RegistryCall, context: AppContext) => Promise<Response>
/** What a method of a route wants to do, and what does it. */
type Methods = Record<string, [RegistryAction, Handler]>

/** Every endpoint of the distribution spec, once. */
function methodsOf(route: NamedRoute): Methods {
  switch (route.kind) {
    case 'manifest':
      return {
        GET: ['pull', (call, context) => getManifest(call, route.reference, context)],
        HEAD: ['pull', (call, context) => getManifest(call, route.reference, context)],
        PUT: ['push', (call, context) => putManifest(call, route.reference, context)],
        DELETE: ['delete', (call, context) => deleteManifest(call, route.reference, context)],
      }
    case 'blob':
      return {
        GET: ['pull', (call, context) => getBlob(call, route.digest, context)],
        HEAD: ['pull', (call, context) => headBlob(call, route.digest, context)],
        DELETE: ['delete', (call, context) => deleteBlob(call, route.digest, context)],
      }
    case 'uploads':
      return { POST: ['push', postUpload] }
    case 'upload':
      return {
        GET: ['push', (call, context) => getUpload(call, route.uploadId, context)],
        HEAD: ['push', (call, context) => getUpload(call, route.uploadId, context)],
        PATCH: ['push', (call, context) => patchUpload(call, route.uploadId, context)],
        PUT: ['push', (call, context) => putUpload(call, route.uploadId, context)],
        DELETE: ['push', (call, context) => deleteUpload(call, route.uploadId, context)],
      }
    case 'tags':
      return { GET: ['pull', getTags], HEAD: ['pull', getTags] }
    case 'referrers':
      return {
        GET: ['pull', (call, context) => getReferrers(call, route.digest, context)],
        HEAD: ['pull', (call, context) => getReferrers(call, route.digest, context)],
      }
  }
}

/** Answers every request below `/v2`, failures included. */
export async function handleRegistry(c: Context<ServerEnv>, context: AppContext): Promise<Response> {
  let wanted: Pick<Wanted, 'name' | 'action'> | undefined
  try {
    const { incoming, outgoing } = c.env
    const [path, search] = splitOnce(incoming.url ?? '', '?')
    const route = parseRegistryPath(path)
    const method = incoming.method ?? 'GET'
    if (route.kind === 'base') {
      if (method !== 'GET' && method !== 'HEAD') throw unsupported(method)
      await authenticate(context.registryTokens, incoming)
      return withVersion(getBase())
    }
    const repositoryPath = parseRepositoryPath(route.name)
    const [action, handle] = methodsOf(route)[method] ?? []
    if (action === undefined || handle === undefined) throw unsupported(method)
    wanted = { name: route.name, action }
    const holder = await authenticate(context.registryTokens, incoming)
    const repository = await context.repositories.resolve(repositoryPath)
    await requireAction(context.repositories, holder, { name: route.name, repository, action })
    const query = new URLSearchParams(search)
    const call = { method, name: route.name, repository, holder, query, incoming, outgoing }
    return withVersion(await handle(call, context))
  } catch (error) {
    return withVersion(renderFailure(c, context, error, wanted))
  }
}

function renderFailure(
  c: Context<ServerEnv>,
  context: AppContext,
  error: unknown,
  wanted: Pick<Wanted, 'name' | 'action'> | undefined,
): Response {
  const requestId = c.get('requestId')
  const { status } = toOciError(error, requestId)
  if (status === 500) context.log.error({ err: error, requestId }, 'a request to the registry failed')
  else if (status >= 500) context.log.warn({ err: error, requestId }, 'a request to the registry has to wait')
  if (!(error instanceof AppViewError) || status !== 401) return renderOciError(error, requestId)
  const place = { realm: context.tokenRealm, service: context.registryTokens.service }
  const headers = { 'www-authenticate': challenge(place, error, wanted) }
  // `curl <base>/v2/` on a fresh install prints `{}`; Docker takes its challenge from this very answer.
  if (wanted === undefined && error.code === 'login_required') return Response.json({}, { status, headers })
  return renderOciError(error, requestId, headers)
}

function withVersion(response: Response): Response {
  response.headers.set('docker-distribution-api-version', 'registry/2.0')
  return response
}

const unsupported = (method: string) => new AppViewError('method_unsupported', `${method} means nothing here`)

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
