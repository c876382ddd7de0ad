import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import { html, trustedHtml, type Html } from '../../../http/html.ts'
import { ByteCache } from '../../../lib/byte-cache.ts'
import { waitAtMost, type Now } from '../../../lib/clock.ts'
import { randomId, sha256Hex } from '../../../lib/ids.ts'
import { Slots } from '../../../lib/slots.ts'
import type { Sanitized } from './sanitize.ts'
import type { MarkdownJob } from './worker.ts'

/** As much as a page record may hold; of more, the beginning is rendered. */
export const markdownBytesMax = 100_000
const htmlLengthMax = 600_000
const cacheBytesMax = 16_000_000
const startMs = 30_000
/** A text that failed may have been unlucky: the machine was busy, or the thread had died. */
const failureFreshMs = 10 * 60_000

interface Needs {
  /** Where a picture of another site is had from us. */
  imagePath: (url: string) => string
  images: 'proxy' | 'link'
  now: Now
  /** How long one text may take. Default 2,000. */
  deadlineMs?: number
  /** How long a page waits, the texts before it included. Default 6,000. */
  patienceMs?: number
}

/**
 * Renders what strangers wrote in Markdown. In a thread of its own, which is ended when a text takes too long: no text
 * can hold up pulls, or other pages for long. What cannot be rendered is shown as it was typed.
 */
export class Markdown {
  readonly #needs: Required<Needs>
  readonly #cache = new ByteCache<{ html: string | undefined }>({ bytesMax: cacheBytesMax })
  readonly #turn = new Slots(1)
  #worker: Worker | undefined

  constructor(needs: Needs) {
    this.#needs = { deadlineMs: 2000, patienceMs: 6000, ...needs }
  }

  /** `baseUrl`: where relative links of the text lead, if that is known; `topLevel`: of its headings, 3 unless told. */
  async render(
    text: string,
    { baseUrl, topLevel }: { baseUrl?: string | undefined; topLevel?: 2 | 3 } = {},
  ): Promise<Html> {
    const source = Buffer.from(text).subarray(0, markdownBytesMax).toString('utf8')
    const key = sha256Hex(JSON.stringify([source, baseUrl, topLevel, this.#needs.images]))
    const nowMs = this.#needs.now().getTime()
    const rendering = this.#cache.get(key, nowMs, async () => {
      const html = await this.#turn.run(() => this.#render(source, { baseUrl, topLevel }))
      const freshMs = html === undefined ? failureFreshMs : Number.MAX_SAFE_INTEGER
      return { value: { html }, bytes: (html?.length ?? 0) + 100, freshMs }
    })
    await waitAtMost(this.#needs.patienceMs, rendering)
    const rendered = this.#cache.peek(key, nowMs)?.html
    return rendered === undefined
      ? html`<pre class="plain-text" tabindex="0">${source}</pre>`
      : trustedHtml(rendered)
  }

  async #render(
    text: string,
    about: Pick<MarkdownJob['options'], 'baseUrl' | 'topLevel'>,
  ): Promise<string | undefined> {
    const { imagePath, images } = this.#needs
    const nonce = `n${randomId().replaceAll(/[^a-zA-Z0-9]/g, '')}`
    const answer = await this.#ask({ text, options: { nonce, images, ...about } })
    if (answer === 'failed' || answer.html.length > htmlLengthMax) return undefined
    return answer.html.replaceAll(new RegExp(`${nonce}-image-(\\d+)`, 'g'), (_, index: string) =>
      escapeAttribute(imagePath(answer.images[Number(index)] as string)),
    )
  }

  async #ask(job: MarkdownJob): Promise<Sanitized | 'failed'> {
    try {
      const worker = (this.#worker ??= await this.#startWorker())
      worker.postMessage(job, [])
      const [answer] = (await once(worker, 'message', {
        signal: AbortSignal.timeout(this.#needs.deadlineMs),
      })) as [Sanitized | 'failed']
      return answer
    } catch {
      // It takes too long, or more memory than it may: the thread is in the middle of it, and of no more use.
      const worker = this.#worker
      this.#worker = undefined
      await worker?.terminate()
      return 'failed'
    }
  }

  async #startWorker(): Promise<Worker> {
    const worker = new Worker(new URL('worker.ts', import.meta.url), {
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 32 },
    })
    // It keeps no process alive, and ends none: whatever it dies of, at whatever moment.
    worker.unref()
    worker.on('error', () => undefined)
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined
    })
    try {
      await once(worker, 'message', { signal: AbortSignal.timeout(startMs) })
    } catch (error) {
      void worker.terminate()
      throw error
    }
    return worker
  }
}

function escapeAttribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}
