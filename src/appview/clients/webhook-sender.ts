import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { retryAfterSeconds } from '../../atproto/retry-after.ts'
import { cleanText } from '../../lib/format.ts'
import type { WebhookAnswer, WebhookSender } from '../ports/webhook-sender.ts'

/** How much of an answer is read, and how much is kept, which is less when it is cleaned. */
const answerBytesMax = 4096
const excerptLengthMax = 1024
/** One that has answered gets this long for the rest of its answer, which is only for its owner to read. */
const bodyPatienceMs = 2000

/** POSTs by the guarded fetch, which must not limit the size of answers itself: the rest of a long one is not read. */
export class WebhookSenderClient implements WebhookSender {
  readonly #fetch: Fetch

  constructor(needs: { fetch: Fetch }) {
    this.#fetch = needs.fetch
  }

  async send(
    request: { url: string; body: string; headers: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<WebhookAnswer> {
    const { body, headers, url } = request
    let response: Response
    try {
      response = await this.#fetch(url, { method: 'POST', body, headers, redirect: 'manual', signal })
    } catch (error) {
      signal.throwIfAborted()
      return { isAnswered: false, reason: reasonOf(error) }
    }
    const { status } = response
    const text = await readExcerpt(response)
    if (status >= 300 && status < 400)
      return { isAnswered: true, status, text: 'It answered with a redirect, which is not followed.' }
    return { isAnswered: true, status, text, retryAfterSeconds: retryAfterSeconds(response.headers) }
  }
}

/** The beginning of an answer as one line of text; what comes after it, or too late, is not waited for. */
async function readExcerpt(response: Response): Promise<string> {
  const reader = response.body?.getReader()
  if (reader === undefined) return ''
  const late = AbortSignal.timeout(bodyPatienceMs)
  const stop = () => void reader.cancel().catch(() => undefined)
  late.addEventListener('abort', stop, { once: true })
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    while (length < answerBytesMax) {
      const { done, value } = await reader.read()
      if (done) break
      chunks.push(value)
      length += value.byteLength
    }
  } catch {
    // What has come so far will do.
  } finally {
    late.removeEventListener('abort', stop)
    stop()
  }
  const bytes = Buffer.concat(chunks).subarray(0, answerBytesMax)
  return cleanText(bytes.toString('utf8'), excerptLengthMax)
}

const tlsCodes = /CERT|SSL|TLS|ALTNAME|SIGNATURE/

/** Why there was no answer, without anything about our own network that an address might be used to find out. */
function reasonOf(error: unknown): string {
  const causes = causesOf(error)
  if (causes.some(({ name }) => name === 'TimeoutError' || name === 'AbortError'))
    return 'It did not answer in time.'
  const codes = causes.map(({ code }) => code).filter((code) => typeof code === 'string')
  if (codes.some((code) => code === 'ENOTFOUND' || code === 'EAI_AGAIN'))
    return 'Its name could not be resolved.'
  if (codes.some((code) => tlsCodes.test(code))) return 'Its certificate is not one that can be trusted.'
  return 'It could not be reached.'
}

function causesOf(error: unknown): { name?: string; code?: unknown }[] {
  const causes: Error[] = []
  for (let cause = error; cause instanceof Error && causes.length < 8; cause = cause.cause) causes.push(cause)
  return causes
}
