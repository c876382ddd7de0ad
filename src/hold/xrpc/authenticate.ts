import { AtprotoError } from '../../atproto/errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import { XrpcError } from '../../http/xrpc-routes.ts'
import type { HoldContext } from '../context.ts'
import { HoldError } from '../errors.ts'
import { HoldSessions, holdSessionLifetimeSeconds } from '../services/hold-sessions.ts'
import { toXrpcError } from './errors.ts'

/** What it takes to know who calls. */
export type CallerNeeds = Pick<HoldContext, 'serviceAuth' | 'sessions' | 'config'>

/** The part of a call that says who calls. */
interface Call {
  nsid: string
  context: { req: { header(name: string): string | undefined } }
}

/**
 * Runs a method for whoever calls: by a service token, good for one call, or by the hold session that was given for it.
 * Answers to the former carry such a session, failures included. What `run` gives is JSON, or an answer of its own.
 * @throws {XrpcError} `AuthRequired`, `InvalidToken`, or what `run` threw
 */
export function answerCaller(
  call: Call,
  needs: CallerNeeds,
  run: (callerDid: Did) => Promise<unknown>,
): Promise<Response> {
  return answerAnyone(call, needs, (callerDid) => {
    if (callerDid === undefined) throw new HoldError('auth_required', 'this method needs a service token')
    return run(callerDid)
  })
}

/** As {@link answerCaller}, for methods that need no caller; a token that is there must be good all the same. */
export async function answerAnyone(
  call: Call,
  needs: CallerNeeds,
  run: (callerDid: Did | undefined) => Promise<unknown>,
): Promise<Response> {
  const { did, headers } = await identify(call, needs)
  try {
    const answer = await run(did)
    if (!(answer instanceof Response)) return Response.json(answer, { headers })
    for (const [name, value] of Object.entries(headers)) answer.headers.set(name, value)
    return answer
  } catch (error) {
    const failure = toXrpcError(error)
    const all = { ...failure.headers, ...headers }
    throw new XrpcError(failure.status, failure.code, failure.message, { cause: error, headers: all })
  }
}

/**
 * Older AppViews ask for tokens of one method only, whichever of these they call. A token that was given for a push must
 * not also delete what a hold keeps about somebody, write its records, or move its crew between tiers.
 */
const pushAndPull = new Set([
  'com.atproto.sync.getBlob',
  'io.atcr.hold.abortUpload',
  'io.atcr.hold.completeUpload',
  'io.atcr.hold.getPartUploadUrl',
  'io.atcr.hold.getUploadStatus',
  'io.atcr.hold.initiateUpload',
  'io.atcr.hold.notifyManifest',
  'io.atcr.hold.requestCrew',
])

async function identify(
  { nsid, context }: Call,
  { sessions, serviceAuth, config }: CallerNeeds,
): Promise<{ did: Did | undefined; headers: Record<string, string> }> {
  const authorization = context.req.header('authorization')
  if (authorization === undefined) return { did: undefined, headers: {} }
  if (/^DPoP /i.test(authorization)) {
    // Only the PDS that gave such a token can check it, and its proof is good for one address.
    const instead =
      'ask your PDS for a service token (com.atproto.server.getServiceAuth) and send it as Bearer'
    throw new HoldError('auth_required', `a hold cannot check OAuth tokens; ${instead}`)
  }
  const [, token] = /^Bearer +([\x21-\x7e]{1,8192})$/i.exec(authorization) ?? []
  if (token === undefined) throw new HoldError('auth_invalid', 'expected a Bearer token')
  if (HoldSessions.isOne(token)) {
    const session = sessions.verify(token)
    if (session?.lxm === nsid) return { did: session.did, headers: {} }
    throw new HoldError('auth_invalid', 'the hold session is over, or is for another method')
  }
  const accepted = pushAndPull.has(nsid) ? [nsid, ...config.server.legacy_lxm] : [nsid]
  const { did } = await serviceAuth.verify(token, accepted).catch((error: unknown) => {
    if (error instanceof AtprotoError) throw new HoldError('auth_invalid', error.message, { cause: error })
    throw error
  })
  return {
    did,
    headers: {
      'atcr-hold-session': sessions.mint({ did, lxm: nsid }),
      'atcr-hold-session-expires': String(holdSessionLifetimeSeconds),
    },
  }
}
