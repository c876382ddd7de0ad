import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

import { S3Error } from './errors.ts'

export interface S3Credentials {
  accessKey: string
  secretKey: string
  region: string
}

/** A request as it came over the wire, its target not yet decoded. */
export interface SignedRequest {
  method: string
  rawPath: string
  query: URLSearchParams
  headers: IncomingHttpHeaders
}

interface Claim {
  accessKey: string
  day: string
  scope: string
  time: string
  signedHeaders: string[]
  signature: string
  payloadHash: string
}

const algorithm = 'AWS4-HMAC-SHA256'
const skewMsMax = 15 * 60 * 1000
const lifetimeSecondsMax = 7 * 24 * 3600

/**
 * Checks Signature Version 4, by header or by query, as S3 does: every `x-amz-` header must be signed, the host too,
 * and the clock may differ by fifteen minutes. Returns what the body must hash to, or `UNSIGNED-PAYLOAD`.
 * @throws {S3Error}
 */
export function verifySignature(request: SignedRequest, credentials: S3Credentials, now: Date): string {
  const { query, headers } = request
  const isPresigned = query.has('X-Amz-Algorithm') || query.has('X-Amz-Signature')
  if (isPresigned && headers.authorization !== undefined) {
    throw new S3Error('InvalidArgument', 'Only one auth mechanism allowed')
  }
  if (!isPresigned && headers.authorization === undefined) throw new S3Error('AccessDenied', 'Access Denied')
  const claim = isPresigned ? claimInQuery(query, now) : claimInHeader(headers, now)
  if (claim.accessKey !== credentials.accessKey) {
    throw new S3Error('InvalidAccessKeyId', 'The access key does not exist in our records')
  }
  const scope = `${claim.day}/${credentials.region}/s3/aws4_request`
  if (claim.scope !== scope || !claim.time.startsWith(claim.day)) {
    const code = isPresigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed'
    throw new S3Error(code, `the credential scope must be ${scope}`)
  }
  requireSigned(headers, claim.signedHeaders)
  const expected = signatureOf(request, claim, credentials)
  const given = Buffer.from(claim.signature)
  if (given.length !== expected.length || !timingSafeEqual(given, Buffer.from(expected))) {
    throw new S3Error('SignatureDoesNotMatch', 'The request signature we calculated does not match')
  }
  return claim.payloadHash
}

function claimInHeader(headers: IncomingHttpHeaders, now: Date): Claim {
  const authorization = headers.authorization ?? ''
  if (!authorization.startsWith(`${algorithm} `)) {
    throw new S3Error('InvalidArgument', 'Unsupported Authorization Type')
  }
  const fields = new Map(
    authorization
      .slice(algorithm.length + 1)
      .split(',')
      .map((field): [string, string] => {
        const [name = '', ...value] = field.trim().split('=')
        return [name, value.join('=')]
      }),
  )
  const time = headerText(headers, 'x-amz-date')
  if (Math.abs(parseTime(time) - now.getTime()) > skewMsMax) {
    throw new S3Error('RequestTimeTooSkewed', 'The difference between the request time and ours is too large')
  }
  const payloadHash = headerText(headers, 'x-amz-content-sha256')
  if (payloadHash === '') throw new S3Error('InvalidRequest', 'Missing required header: x-amz-content-sha256')
  return {
    ...parseCredential(fields.get('Credential') ?? ''),
    time,
    payloadHash,
    signedHeaders: (fields.get('SignedHeaders') ?? '').split(';'),
    signature: fields.get('Signature') ?? '',
  }
}

function claimInQuery(query: URLSearchParams, now: Date): Claim {
  for (const name of ['Algorithm', 'Credential', 'Date', 'Expires', 'SignedHeaders', 'Signature']) {
    if (!query.get(`X-Amz-${name}`)) {
      throw new S3Error('AuthorizationQueryParametersError', `X-Amz-${name} is missing`)
    }
  }
  const get = (name: string) => query.get(`X-Amz-${name}`) as string
  if (get('Algorithm') !== algorithm)
    throw new S3Error('AuthorizationQueryParametersError', 'unknown algorithm')
  const lifetimeSeconds = Number(get('Expires'))
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > lifetimeSecondsMax) {
    throw new S3Error('AuthorizationQueryParametersError', 'X-Amz-Expires must be between 1 and 604800')
  }
  const signedAt = parseTime(get('Date'))
  if (signedAt - now.getTime() > skewMsMax) throw new S3Error('AccessDenied', 'Request is not yet valid')
  if (signedAt + lifetimeSeconds * 1000 <= now.getTime())
    throw new S3Error('AccessDenied', 'Request has expired')
  return {
    ...parseCredential(get('Credential')),
    time: get('Date'),
    payloadHash: query.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD',
    signedHeaders: get('SignedHeaders').split(';'),
    signature: get('Signature'),
  }
}

function parseCredential(text: string): Pick<Claim, 'accessKey' | 'day' | 'scope'> {
  const [accessKey = '', ...scope] = text.split('/')
  return { accessKey, day: scope[0] ?? '', scope: scope.join('/') }
}

/** `20260102T030405Z` in milliseconds. */
function parseTime(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (parts === null) throw new S3Error('AccessDenied', 'AWS authentication requires a valid date')
  const [, year, month, day, hour, minute, second] = parts.map(Number)
  return Date.UTC(year as number, (month as number) - 1, day, hour, minute, second)
}

function requireSigned(headers: IncomingHttpHeaders, signedHeaders: readonly string[]): void {
  const names = Object.keys(headers).filter((name) => name.startsWith('x-amz-'))
  const unsigned = ['host', ...names].find((name) => !signedHeaders.includes(name))
  if (unsigned === undefined) return
  throw new S3Error(
    'AccessDenied',
    `There were headers present in the request which were not signed: ${unsigned}`,
  )
}

function signatureOf(request: SignedRequest, claim: Claim, credentials: S3Credentials): string {
  const canonical = [
    request.method,
    request.rawPath.split('/').map(encodeAgain).join('/'),
    canonicalQuery(request.query),
    ...claim.signedHeaders.map((name) => `${name}:${canonicalHeader(request.headers, name)}`),
    '',
    claim.signedHeaders.join(';'),
    claim.payloadHash,
  ].join('\n')
  const digest = createHash('sha256').update(canonical).digest('hex')
  const toSign = [algorithm, claim.time, claim.scope, digest].join('\n')
  const key = [claim.day, credentials.region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    `AWS4${credentials.secretKey}`,
  )
  return createHmac('sha256', key).update(toSign).digest('hex')
}

function canonicalQuery(query: URLSearchParams): string {
  return [...query]
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort((a, b) => (a < b ? -1 : 1))
    .join('&')
}

function canonicalHeader(headers: IncomingHttpHeaders, name: string): string {
  return headerText(headers, name).trim().replaceAll(/ +/g, ' ')
}

function headerText(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name]
  return Array.isArray(value) ? value.join(',') : (value ?? '')
}

const encode = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`)

const encodeAgain = (segment: string) => encode(decodeURIComponent(segment))
