import { getServiceEndpoint, getVerificationMaterial, type DidDocument } from '@atproto/common-web'
import { verifySignature } from '@atproto/crypto'
import { getDidKeyFromMultibase } from '@atproto/identity'
import type { LexMap, LexValue } from '@atproto/lex'
import { encode } from '@atproto/lex-cbor'

import * as labelDefs from '../protocol/lexicon/generated/com/atproto/label/defs.ts'
import { AtprotoError } from './errors.ts'
import { eventFrames, malformedFrame } from './event-stream.ts'
import { normalizeDid, type Did } from './syntax.ts'

// https://atproto.com/specs/label

const frameBytesMax = 1024 * 1024
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
  const url = new URL('/xrpc/com.atproto.label.subscribeLabels', options.serviceUrl)
  url.searchParams.set('cursor', String(options.cursor))
  const stream = { ...options, url, frameBytesMax, what: 'the labeler' }
  for await (const { type, body } of eventFrames(stream)) {
    // `#info`, and whatever else there may be one day.
    if (type !== '#labels') continue
    const { seq, labels } = body
    if (typeof seq !== 'number' || !Array.isArray(labels)) throw malformedFrame('the labeler')
    yield { seq, labels }
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
