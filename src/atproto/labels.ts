import { on } from 'node:events'

import { getServiceEndpoint, getVerificationMaterial, type DidDocument } from '@atproto/common-web'
import { verifySignature } from '@atproto/crypto'
import { getDidKeyFromMultibase } from '@atproto/identity'
import type { LexMap, LexValue } from '@atproto/lex'
import { decodeAll, encode } from '@atproto/lex-cbor'
import { WebSocket } from 'ws'

import * as labelDefs from '../protocol/lexicon/generated/com/atproto/label/defs.ts'
import { AtprotoError } from './errors.ts'
import { normalizeDid, type Did } from './syntax.ts'

// https://atproto.com/specs/label, and event streams: two DAG-CBOR values a frame, a header and a body.

const frameBytesMax = 1024 * 1024
/** Frames that wait while the reader is busy; beyond, the labeler is not read from. */
const backlogCountMax = 100
const heartbeatMs = 30_000
const connectTimeoutMs = 10_000

/** What a labeler says about a subject, proven to be its own words. Times are ISO text in UTC. */
export interface Label {
  src: Did
  /** A DID or an AT-URI. */
  uri: string
  val: string
  /** Takes an earlier label back. */
  isNegation: boolean
  createdAt: string
  expiresAt: string | undefined
}

/** One frame of the stream: `seq` is the cursor to go on from, labels are as they came. */
export interface LabelFrame {
  seq: number
  labels: readonly LexValue[]
}

/** Where a labeler streams and what it signs with. */
export interface Labeler {
  did: Did
  serviceUrl: string
  /** `did:key:…` of `#atproto_label`; undefined when its document names none. */
  key: string | undefined
}

/** The labeler that a DID document describes. @throws {AtprotoError} `did_unresolved` when it describes none */
export function labelerOf(did: Did, document: DidDocument): Labeler {
  const serviceUrl = getServiceEndpoint(document, { id: '#atproto_labeler', type: 'AtprotoLabeler' })
  if (serviceUrl === undefined) throw new AtprotoError('did_unresolved', `${did} is no labeler`)
  const material = getVerificationMaterial(document, 'atproto_label')
  return { did, serviceUrl, key: material && getDidKeyFromMultibase(material) }
}

/**
 * Labels from after `cursor` on, until the connection ends or the signal is aborted; 0 replays all there are.
 * @throws {AtprotoError} `unreachable`, or `xrpc_refused` with `xrpcError` (`FutureCursor`)
 */
export async function* labelFrames(options: {
  serviceUrl: string
  cursor: number
  signal: AbortSignal
  onOpen?: () => void
}): AsyncGenerator<LabelFrame, void, undefined> {
  const { signal } = options
  const url = new URL('/xrpc/com.atproto.label.subscribeLabels', options.serviceUrl)
  url.protocol = url.protocol.replace('http', 'ws')
  url.searchParams.set('cursor', String(options.cursor))
  if (signal.aborted) return
  const socket = new WebSocket(url, { maxPayload: frameBytesMax, handshakeTimeout: connectTimeoutMs })
  const onAbort = () => socket.terminate()
  signal.addEventListener('abort', onAbort, { once: true })
  if (options.onOpen !== undefined) socket.once('open', options.onOpen)
  const heartbeat = keepAlive(socket)
  try {
    const messages = on(socket, 'message', { close: ['close'], highWaterMark: backlogCountMax })
    for await (const [data, isBinary] of messages as AsyncIterable<[Buffer, boolean]>) {
      const frame = isBinary ? readFrame(data) : undefined
      if (frame !== undefined) yield frame
    }
  } catch (error) {
    if (error instanceof AtprotoError) throw error
    if (!signal.aborted)
      throw new AtprotoError('unreachable', 'the labeler does not answer', { cause: error })
  } finally {
    clearInterval(heartbeat)
    signal.removeEventListener('abort', onAbort)
    socket.on('error', () => undefined)
    socket.terminate()
  }
}

/**
 * A label that this labeler signed with this key; the reason when it is anything else.
 * The signature is over the label without it, as DAG-CBOR.
 */
export async function readLabel(
  value: LexValue,
  labeler: Pick<Labeler, 'did' | 'key'>,
): Promise<Label | 'malformed' | 'of another' | 'unsigned' | 'badly signed'> {
  const parsed = labelDefs.label.safeParse(value)
  if (!parsed.success) return 'malformed'
  const { src, uri, val, neg, cts, exp, sig } = parsed.value
  if (normalizeDid(src) !== normalizeDid(labeler.did)) return 'of another'
  if (sig === undefined || labeler.key === undefined) return 'unsigned'
  if (!(await isSignedBy(labeler.key, value as LexMap, sig))) return 'badly signed'
  return {
    src,
    uri,
    val,
    isNegation: neg === true,
    createdAt: new Date(cts).toISOString(),
    expiresAt: exp === undefined ? undefined : new Date(exp).toISOString(),
  }
}

async function isSignedBy(key: string, label: LexMap, signature: Uint8Array): Promise<boolean> {
  const { sig: _, $type: __, ...signed } = label
  // Some leave `neg: false` out when they sign, some when they send.
  const { neg, ...short } = signed
  const forms = neg === true ? [signed] : [short, { ...short, neg: false }]
  for (const form of forms) {
    if (await verifySignature(key, encode(form), signature).catch(() => false)) return true
  }
  return false
}

/** @throws {AtprotoError} `bad_answer`, `xrpc_refused` */
function readFrame(bytes: Uint8Array): LabelFrame | undefined {
  const [header, body] = decodeFrame(bytes)
  if (header['op'] === -1) {
    const xrpcError = typeof body['error'] === 'string' ? body['error'] : 'Unknown'
    throw new AtprotoError('xrpc_refused', `the labeler ended the stream: ${xrpcError}`, { xrpcError })
  }
  const { seq, labels } = body
  // `#info`, and whatever else there may be one day.
  if (header['t'] !== '#labels') return undefined
  if (typeof seq !== 'number' || !Array.isArray(labels)) throw malformed()
  return { seq, labels }
}

function decodeFrame(bytes: Uint8Array): [LexMap, LexMap] {
  let values: LexValue[]
  try {
    values = [...decodeAll(bytes)]
  } catch (cause) {
    throw malformed(cause)
  }
  const [header, body] = values
  if (values.length !== 2 || !isMap(header) || !isMap(body)) throw malformed()
  return [header, body]
}

function isMap(value: LexValue | undefined): value is LexMap {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
  )
}

const malformed = (cause?: unknown) =>
  new AtprotoError('bad_answer', 'the labeler sent something that is no frame', { cause })

/** Ends a connection whose other side has vanished without a word. */
function keepAlive(socket: WebSocket): NodeJS.Timeout {
  let isSilent = false
  socket.on('pong', () => (isSilent = false))
  return setInterval(() => {
    if (isSilent) socket.terminate()
    isSilent = true
    if (socket.readyState === WebSocket.OPEN) socket.ping()
  }, heartbeatMs).unref()
}
