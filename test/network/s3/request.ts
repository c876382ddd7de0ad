import type { IncomingMessage, ServerResponse } from 'node:http'

import { collectBytes } from '../../../src/lib/streams.ts'
import { S3Error } from './errors.ts'
import type { SignedRequest } from './signature.ts'
import type { S3Store } from './store.ts'
import { formatXml, type XmlElements } from './xml.ts'

/** A request taken apart, its signature checked. */
export interface S3Call {
  store: S3Store
  now: Date
  req: IncomingMessage
  res: ServerResponse
  method: string
  query: URLSearchParams
  bucket: string
  /** Empty for the bucket itself. */
  key: string
  payloadHash: string
}

const documentBytesMax = 4 * 1024 * 1024

/** The request as signed, with bucket and key by path (`/bucket/key`) or by host (`bucket.host`). */
export function parseTarget(
  req: IncomingMessage,
  isBucket: (name: string) => boolean,
): SignedRequest & { bucket: string; key: string } {
  // prettier-ignore
  const [rawPath, rawQuery = ''] = splitOnce(req.url ?? '/', '?')
  const signed = { method: req.method ?? 'GET', rawPath, query: parseQuery(rawQuery), headers: req.headers }
  const [label, rest] = splitOnce(req.headers.host ?? '', '.')
  try {
    const path = decodeURIComponent(rawPath.slice(1))
    if (rest !== undefined && isBucket(label)) return { ...signed, bucket: label, key: path }
    const [bucket, key = ''] = splitOnce(path, '/')
    return { ...signed, bucket, key }
  } catch {
    throw new S3Error('InvalidArgument', 'the path is not percent-encoded UTF-8')
  }
}

/** A header of the call, which a presigned URL may carry in its query instead. */
export function amzHeader(call: S3Call, name: string): string | undefined {
  const value = call.req.headers[name]
  if (typeof value === 'string') return value
  for (const [key, value] of call.query) if (key.toLowerCase() === name) return value
  return undefined
}

/** A whole number in the query within bounds, or the default. */
export function queryNumber(
  call: S3Call,
  name: string,
  { min, max, or }: { min: number; max: number; or?: number },
): number {
  // prettier-ignore
  const text = call.query.get(name)
  if (text === null && or !== undefined) return or
  const value = Number(text)
  if (text === null || !Number.isInteger(value) || value < min) {
    throw new S3Error('InvalidArgument', `${name} must be a whole number between ${min} and ${max}`)
  }
  if (value > max && or === undefined) throw new S3Error('InvalidArgument', `${name} must be at most ${max}`)
  return Math.min(value, max)
}

/** The XML document that came as body. */
export async function readDocument(call: S3Call): Promise<string> {
  const bytes = await collectBytes(call.req, documentBytesMax)
  return Buffer.from(bytes).toString('utf8')
}

export function answerXml(call: S3Call, root: string, content: XmlElements): void {
  const body = formatXml(root, content)
  call.res.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(body) })
  call.res.end(body)
}

export function answerEmpty(call: S3Call, status: number, headers: Record<string, string> = {}): void {
  call.res.writeHead(status, status === 204 ? headers : { 'content-length': '0', ...headers }).end()
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}

/** Unlike a form, `+` in a query stands for itself here. */
function parseQuery(raw: string): URLSearchParams {
  return new URLSearchParams(raw.replaceAll('+', '%2B'))
}
