import { safeFetchWrap } from '@atproto-labs/fetch-node'

import { ByteLimitError } from '../lib/streams.ts'

export type Fetch = typeof globalThis.fetch

/** What every request of a program has in common. */
export interface OutboundOptions {
  /** Sent as `User-Agent`, e.g. `atcr-appview/0.1.0`. */
  userAgent: string
  /** Lets requests go to loopback and private addresses and over plain http: `test_mode` only. */
  allowPrivateNetwork: boolean
  /** A service of this process: asked where it is, which may not be where others find it. */
  near?: NearService | undefined
}

/** A service that runs in this process, and may not be reachable from here under its public name. */
export interface NearService {
  /** Where others reach it: `https://hold.example`. */
  origin: string
  /** Where it answers this machine: `http://127.0.0.1:40123`. */
  url: string
}

/** The same address, at this machine where the service is a near one. */
export function nearUrl(url: URL, near: NearService | undefined): URL {
  return url.origin === near?.origin ? new URL(`${url.pathname}${url.search}`, near.url) : url
}

export interface MetadataLimits {
  /** Whole call, body included. Default 5,000. */
  timeoutMs?: number
  /** Default 256 KiB. */
  responseBytesMax?: number
}

/**
 * The `fetch` for documents and XRPC calls: https to public addresses only (resolved, then pinned), no redirects,
 * bounded in time and size. Everything a stranger can make us call goes through here, or, for blobs, `transfer.ts`.
 */
export function createOutboundFetch(options: OutboundOptions, limits: MetadataLimits = {}): Fetch {
  const { timeoutMs = 5000, responseBytesMax = 256 * 1024 } = limits
  const guarded = guard(options, { timeoutMs, responseBytesMax })
  return (input, init) => guarded(input, withDefaults(init, options.userAgent, timeoutMs))
}

function guard({ near, ...options }: OutboundOptions, limits: Required<MetadataLimits>): Fetch {
  if (near !== undefined) {
    const others = guard(options, limits)
    const ours = limitedFetch(limits.responseBytesMax)
    return (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input)
      const target = nearUrl(url, near)
      if (target === url) return others(input, init)
      return ours(input instanceof Request ? new Request(target, input) : target, init)
    }
  }
  if (options.allowPrivateNetwork) return limitedFetch(limits.responseBytesMax)
  const fetch = safeFetchWrap({
    responseMaxSize: limits.responseBytesMax,
    timeout: limits.timeoutMs,
    allowIpHost: false,
    allowCustomPort: true,
  })
  return (input, init) => fetch(input, init)
}

/** Plain fetch that stops reading once a response has more than `responseBytesMax` bytes. */
function limitedFetch(responseBytesMax: number): Fetch {
  if (responseBytesMax === Number.MAX_SAFE_INTEGER) return globalThis.fetch
  return async (input, init) => {
    const response = await globalThis.fetch(input, init)
    if (Number(response.headers.get('content-length') ?? 0) > responseBytesMax) {
      await response.body?.cancel()
      throw new ByteLimitError(responseBytesMax)
    }
    let count = 0
    const counted = response.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          count += chunk.byteLength
          if (count > responseBytesMax) controller.error(new ByteLimitError(responseBytesMax))
          else controller.enqueue(chunk)
        },
      }),
    )
    const { status, statusText, headers } = response
    const isBodyless = status === 204 || status === 304 || response.body === null
    return new Response(isBodyless ? null : counted, { status, statusText, headers })
  }
}

function withDefaults(init: RequestInit | undefined, userAgent: string, timeoutMs: number): RequestInit {
  const headers = new Headers(init?.headers)
  if (!headers.has('user-agent')) headers.set('user-agent', userAgent)
  const timeout = AbortSignal.timeout(timeoutMs)
  const signal = init?.signal ? AbortSignal.any([init.signal, timeout]) : timeout
  return { redirect: 'error', ...init, headers, signal }
}
