import http, { type IncomingMessage, type ServerResponse } from 'node:http'

import { systemNow, type Now } from '../../src/lib/clock.ts'
import { randomId } from '../../src/lib/ids.ts'
import { listen, type Listening } from './listening.ts'
import { S3Error } from './s3/errors.ts'
import { abortUpload, completeUpload, copyPart, createUpload, listParts, listUploads, uploadPart } from './s3/multipart.ts' // prettier-ignore
import { copyObject, deleteObjects, getObject, listObjects, putObject } from './s3/objects.ts'
import { amzHeader, answerEmpty, answerXml, parseTarget, type S3Call } from './s3/request.ts'
import { verifySignature, type S3Credentials } from './s3/signature.ts'
import { S3Store } from './s3/store.ts'
import { formatXml } from './s3/xml.ts'

export interface S3Options {
  folder: string
  credentials: S3Credentials
  buckets?: readonly string[]
  port?: number
  /** Another address than the registry's, so that clients do not carry their registry token along a redirect. */
  host?: string
  now?: Now
}

/**
 * A strict S3 stand-in: signatures, expiry and checksums are verified as S3 does, because a lenient one lets wrong
 * presigned URLs pass. Bytes go to disk as they come. What it does not know it answers with 501.
 */
export class S3StandIn implements AsyncDisposable {
  readonly url: string
  readonly server: http.Server
  readonly #listening: Listening
  readonly #store: S3Store
  readonly #credentials: S3Credentials
  readonly #now: Now

  static async start(options: S3Options): Promise<S3StandIn> {
    const { host = '127.0.0.2', port = 0 } = options
    const listening = await listen(http.createServer(), { host, port, what: 'the S3 stand-in' })
    return new S3StandIn(listening, host, options)
  }

  private constructor(listening: Listening, host: string, options: S3Options) {
    this.#listening = listening
    this.#credentials = options.credentials
    this.#now = options.now ?? systemNow
    this.#store = new S3Store(options.folder)
    this.server = listening.server
    this.url = `http://${host}:${listening.port}`
    for (const bucket of options.buckets ?? []) this.#store.createBucket(bucket)
    this.server.on('request', (req, res) => void this.#answer(req, res, () => undefined))
    // The signature is checked before the client is told to go on.
    this.server.on('checkContinue', (req, res) => void this.#answer(req, res, () => res.writeContinue()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening.stop()
    this.#store[Symbol.dispose]()
  }

  async #answer(req: IncomingMessage, res: ServerResponse, proceed: () => void): Promise<void> {
    const requestId = randomId(8)
    res.setHeader('x-amz-request-id', requestId)
    try {
      const target = parseTarget(req, (name) => this.#store.hasBucket(name))
      const payloadHash = verifySignature(target, this.#credentials, this.#now())
      proceed()
      await route({ ...target, store: this.#store, now: this.#now(), req, res, payloadHash })
    } catch (error) {
      // The other end may have gone in the middle, in either direction.
      if (res.headersSent || res.destroyed || req.errored) return void res.destroy()
      answerError(req, res, error, requestId)
    }
  }
}

/** What a bucket is asked for; a subresource is a query parameter without a value. */
function route(call: S3Call): void | Promise<void> {
  const { method, query, bucket, key } = call
  const unknown = ['acl', 'cors', 'lifecycle', 'policy', 'tagging', 'versioning', 'versions', 'object-lock']
  const subresource = unknown.find((name) => query.has(name))
  if (subresource !== undefined) throw new S3Error('NotImplemented', `${subresource} is not implemented`)
  if (bucket === '') return listBuckets(call)
  if (method === 'PUT' && key === '') return createBucket(call)
  if (!call.store.hasBucket(bucket)) throw new S3Error('NoSuchBucket', 'The specified bucket does not exist')
  return key === '' ? routeBucket(call) : routeObject(call)
}

function routeBucket(call: S3Call): void | Promise<void> {
  const { method, query } = call
  if (method === 'HEAD') return answerEmpty(call, 200)
  if (method === 'POST' && query.has('delete')) return deleteObjects(call)
  if (method === 'DELETE') return deleteBucket(call)
  if (method !== 'GET') throw new S3Error('MethodNotAllowed', `${method} is not allowed on a bucket`)
  if (query.has('uploads')) return listUploads(call)
  if (query.has('location')) return answerXml(call, 'LocationConstraint', {})
  return listObjects(call)
}

function routeObject(call: S3Call): void | Promise<void> {
  const { method, query } = call
  const isPart = query.has('uploadId')
  const isCopy = amzHeader(call, 'x-amz-copy-source') !== undefined
  switch (method) {
    case 'PUT':
      if (isPart) return isCopy ? copyPart(call) : uploadPart(call)
      return isCopy ? copyObject(call) : putObject(call)
    case 'POST':
      if (query.has('uploads')) return createUpload(call)
      if (isPart) return completeUpload(call)
      break
    case 'GET':
      return isPart ? listParts(call) : getObject(call)
    case 'HEAD':
      return getObject(call)
    case 'DELETE':
      return isPart ? abortUpload(call) : deleteObject(call)
    default:
  }
  throw new S3Error('MethodNotAllowed', `${method} is not allowed on an object`)
}

function deleteObject(call: S3Call): void {
  call.store.deleteObject(call.bucket, call.key)
  answerEmpty(call, 204)
}

function listBuckets(call: S3Call): void {
  const names = call.store.listBuckets()
  answerXml(call, 'ListAllMyBucketsResult', { Buckets: { Bucket: names.map((Name) => ({ Name })) } })
}

function createBucket(call: S3Call): void {
  if (call.store.hasBucket(call.bucket)) throw new S3Error('BucketAlreadyOwnedByYou', 'you have it already')
  call.store.createBucket(call.bucket)
  call.req.resume()
  answerEmpty(call, 200, { location: `/${call.bucket}` })
}

function deleteBucket(call: S3Call): void {
  const first = call.store.listObjects(call.bucket, '', '').next()
  if (first.done !== true) throw new S3Error('BucketNotEmpty', 'The bucket you tried to delete is not empty')
  call.store.deleteBucket(call.bucket)
  answerEmpty(call, 204)
}

function answerError(req: IncomingMessage, res: ServerResponse, error: unknown, requestId: string): void {
  const known =
    error instanceof S3Error ? error : new S3Error('InternalError', String(error), { cause: error })
  // The rest of a body is let in and dropped, so that the client reads the answer and not a reset.
  req.resume()
  const [path = ''] = (req.url ?? '').split('?')
  const body = formatXml('Error', {
    Code: known.code,
    Message: known.message,
    Resource: path,
    RequestId: requestId,
  })
  res.writeHead(known.status, {
    'content-type': 'application/xml',
    'content-length': Buffer.byteLength(body),
  })
  res.end(req.method === 'HEAD' ? undefined : body)
}
