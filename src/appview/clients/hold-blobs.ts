import { AtprotoError } from '../../atproto/errors.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Transfer, TransferAnswer } from '../../atproto/transfer.ts'
import { answerError, translate } from '../../atproto/xrpc-client.ts'
import { loggableUrl } from '../../lib/log.ts'
import type { Now } from '../../lib/clock.ts'
import * as getBlob from '../../protocol/lexicon/generated/com/atproto/sync/getBlob.ts'
import { AppViewError } from '../errors.ts'
import type { BlobLocation, HoldBlobs } from '../ports/hold-blobs.ts'
import type { HoldCaller, HoldTarget } from './hold-caller.ts'

/** Assumed of a URL that does not say how long it lives. */
const defaultLifetimeMs = 60_000

/** `com.atproto.sync.getBlob` with an OCI digest for a CID: holds answer a presigned URL. */
export class HoldBlobsClient implements HoldBlobs {
  readonly #caller: HoldCaller
  readonly #transfer: Transfer
  readonly #now: Now

  constructor(needs: { caller: HoldCaller; transfer: Transfer; now: Now }) {
    this.#caller = needs.caller
    this.#transfer = needs.transfer
    this.#now = needs.now
  }

  async locate(
    holdDid: Did,
    readerDid: Did | undefined,
    blob: { ownerDid: Did; digest: string },
  ): Promise<BlobLocation | undefined> {
    const query = { did: blob.ownerDid, cid: blob.digest, method: 'GET' }
    const answer =
      readerDid === undefined
        ? await this.#caller.asNobody(holdDid, (target) => askForUrl(target, query))
        : await this.#caller.authorized(getBlob.$nsid, { holdDid, accountDid: readerDid }, (target) =>
            askForUrl(target, query),
          )
    if (answer.url === undefined) return undefined
    const nowMs = this.#now().getTime()
    return { url: answer.url, expiresAtMs: expiryOf(answer.url, nowMs) ?? nowMs + defaultLifetimeMs }
  }

  async open(
    url: string,
    options: { range?: string; method: 'GET' | 'HEAD'; signal?: AbortSignal },
  ): Promise<TransferAnswer> {
    return this.#transfer(url, {
      method: options.method,
      headers: {
        'accept-encoding': 'identity',
        ...(options.range === undefined ? {} : { range: options.range }),
      },
      signal: options.signal,
    }).catch((cause: unknown) => {
      throw new AppViewError('hold_unreachable', `no answer from ${loggableUrl(url)}`, { cause })
    })
  }
}

async function askForUrl(
  target: HoldTarget,
  query: Record<string, string>,
): Promise<{ url: string | undefined; headers: Headers }> {
  const url = new URL(`/xrpc/${getBlob.$nsid}`, target.serviceUrl)
  url.search = new URLSearchParams(query).toString()
  const authorization = target.token === undefined ? {} : { authorization: `Bearer ${target.token}` }
  const response = await target
    .fetch(url, { headers: { accept: 'application/json', ...authorization } })
    .catch((error: unknown) => {
      throw translate(error)
    })
  const { headers, status } = response
  const body = (await response.json().catch(() => ({}))) as {
    url?: unknown
    error?: string
    message?: string
  }
  if (response.ok && typeof body.url === 'string' && URL.canParse(body.url)) return { url: body.url, headers }
  if (status === 404 || body.error === 'BlobNotFound') return { url: undefined, headers }
  if (response.ok) throw new AtprotoError('bad_answer', 'getBlob answered no URL')
  throw answerError(status, body.error, body.message ?? `getBlob answered ${status}`, headers)
}

/**
 * When a presigned URL ends: SigV4 says `X-Amz-Date` and `X-Amz-Expires`, CDNs and our own holds say `exp` or `Expires`
 * in seconds since the epoch. `undefined` when it does not say.
 */
export function expiryOf(url: string, nowMs: number): number | undefined {
  const parameters = new URL(url).searchParams
  const [date, lifetime] = [parameters.get('X-Amz-Date'), parameters.get('X-Amz-Expires')]
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date ?? '')
  if (match && lifetime !== null && /^\d{1,9}$/.test(lifetime)) {
    const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, number, number, number] // prettier-ignore
    return Date.UTC(year, month - 1, day, hour, minute, second) + Number(lifetime) * 1000
  }
  const epoch = parameters.get('exp') ?? parameters.get('expires') ?? parameters.get('Expires')
  if (epoch === null || !/^\d{9,13}$/.test(epoch)) return undefined
  const expiresAtMs = Number(epoch) * (epoch.length > 11 ? 1 : 1000)
  return expiresAtMs > nowMs ? expiresAtMs : undefined
}
