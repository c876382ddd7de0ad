import type { IncomingMessage, ServerResponse } from 'node:http'

import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import { AppViewError } from '../errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { TokenHolder } from '../services/registry-tokens.ts'
import type { RepositoryKey } from '../services/repositories.ts'

/** A request to the registry that the guard let pass. */
export interface RegistryCall {
  method: string
  /** Of the path, as the client wrote it: goes into every `Location`. */
  name: string
  repository: RepositoryKey
  holder: TokenHolder
  query: URLSearchParams
  incoming: IncomingMessage
  outgoing: ServerResponse
  /** What an answer carries besides its own headers when it is written straight to `outgoing`. */
  commonHeaders: Readonly<Record<string, string>>
}

/** Who writes; the guard has made sure that there is someone. @throws {AppViewError} `login_required` */
export function writerOf(call: RegistryCall): Did {
  const { did } = call.holder
  if (did === undefined) throw new AppViewError('login_required', 'sign in to write')
  return did
}

/** The digest in `?digest=`. @throws {OciError} `DIGEST_INVALID` */
export function digestParameter(call: RegistryCall): Digest {
  return parseDigest(call.query.get('digest') ?? '')
}

/** `Content-Length` as a number, where the client sent one. */
export function contentLength(call: RegistryCall): number | undefined {
  const text = call.incoming.headers['content-length']
  return text === undefined ? undefined : Number(text)
}

/** Whether the client has what `etag` names (RFC 9110 §13.1.2). */
export function hasMatchingEtag(call: RegistryCall, etag: string): boolean {
  const given = call.incoming.headers['if-none-match']
  if (given === undefined) return false
  return given.split(',').some((entry) => ['*', etag, `W/${etag}`].includes(entry.trim()))
}
