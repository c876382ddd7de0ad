import { TID } from '@atproto/common-web'
import { isValidDid, isValidHandle, isValidNsid, isValidRecordKey } from '@atproto/syntax'

import { AtprotoError } from './errors.ts'

export type Did = `did:${string}:${string}`
export type Handle = `${string}.${string}`

/** Whether text is a DID in either spelling, `did:web:host:port` (seen on the network) included. */
export function isDid(text: string): text is Did {
  return text.length <= 2048 && isValidDid(text)
}

/** @throws {AtprotoError} `did_unresolved` when text is no DID. */
export function parseDid(text: string): Did {
  if (!isDid(text))
    throw new AtprotoError('did_unresolved', `not a DID: ${JSON.stringify(text.slice(0, 100))}`)
  return text
}

/** A handle in lower case. @throws {AtprotoError} `handle_unresolved` when text is no handle. */
export function parseHandle(text: string): Handle {
  const handle = text.toLowerCase()
  if (isValidHandle(handle)) return handle
  throw new AtprotoError('handle_unresolved', `not a handle: ${JSON.stringify(text.slice(0, 100))}`)
}

/**
 * One spelling for each DID: `did:web:127.0.0.1:8080` (unencoded port, accepted for the sake of older holds)
 * becomes `did:web:127.0.0.1%3A8080`, host in lower case. DIDs are compared only after this.
 */
export function normalizeDid(did: Did): Did {
  if (!did.startsWith('did:web:')) return did
  const host = decodeURIComponent(did.slice('did:web:'.length)).toLowerCase()
  const match = /^(.*?)(?::(\d+))?$/.exec(host)
  return `did:web:${match?.[1] ?? host}${match?.[2] === undefined ? '' : `%3A${match[2]}`}`
}

/** `https://hold.example` → `did:web:hold.example`; a port other than the scheme's own is kept, encoded. */
export function didWebOfUrl(url: URL | string): Did {
  return `did:web:${new URL(url).host.replace(':', '%3A')}`
}

/** `did:web:hold.example` → `https://hold.example`; plain http for loopback. @throws {AtprotoError} `did_unresolved` */
export function urlOfDidWeb(did: string): string {
  const [, host] = isDid(did) ? (/^did:web:(.+)$/.exec(normalizeDid(did)) ?? []) : []
  if (host === undefined) throw new AtprotoError('did_unresolved', `${did}: not a did:web`)
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+)(%3A\d+)?$/.test(host)
  return `${isLoopback ? 'http' : 'https'}://${decodeURIComponent(host)}`
}

/** An AT-URI of a record, in its three pieces. */
export interface AtUri {
  did: Did
  collection: string
  rkey: string
}

/** Takes `at://<did>/<collection>/<rkey>` apart; `undefined` when it is anything else (a handle is no authority here). */
export function parseAtUri(text: string): AtUri | undefined {
  const match = /^at:\/\/([^/]+)\/([^/]+)\/([^/?#]+)$/.exec(text)
  if (!match) return undefined
  const [, did, collection, rkey] = match as unknown as [string, string, string, string]
  return isDid(did) && isValidNsid(collection) && isValidRecordKey(rkey)
    ? { did, collection, rkey }
    : undefined
}

export function formatAtUri(did: Did, collection: string, rkey: string): string {
  return `at://${did}/${collection}/${rkey}`
}

/**
 * A record key or rev from the clock, greater than every one this process made before and than `previous`, even where the
 * clock was put back.
 */
export function nextTid(previous?: string): string {
  return TID.nextStr(previous)
}
