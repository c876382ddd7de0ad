import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import {
  labelerOf,
  labelFrames,
  readLabel,
  type Label,
  type Labeler,
  type LabelFrame,
} from '../../atproto/labels.ts'
import type { Did } from '../../atproto/syntax.ts'
import { sleep, waitAtMost } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import type { Moderation } from '../services/moderation.ts'

const log = logger('hold:labels')

const firstDelayMs = 500
const longestDelayMs = 60_000
const stopPatienceMs = 5_000

interface Needs {
  labelerDid: Did
  identities: Pick<Identities, 'resolveDid'>
  moderation: Pick<Moderation, 'apply' | 'cursor'>
  /** Development only. */
  allowsPlainHttp: boolean
}

/** How the subscription fares, for those who run the hold. */
export interface LabelFeedState {
  isConnected: boolean
  labelCount: number
  /** Labels that were not believed, by reason. */
  skippedCounts: Readonly<Record<string, number>>
}

/**
 * Follows the labeler: from the cursor that is kept, again whenever the connection ends, later and later while it fails.
 * Only labels that its DID document's `#atproto_label` key has signed are passed on.
 */
export class LabelFeed implements AsyncDisposable {
  readonly #needs: Needs
  readonly #stop = new AbortController()
  readonly #skippedCounts: Record<string, number> = {}
  #loop: Promise<void> | undefined
  #isConnected = false
  #labelCount = 0
  #failureCount = 0
  /** After the labeler said that our cursor is one it never came to: it began anew. */
  #isFromStart = false

  constructor(needs: Needs) {
    this.#needs = needs
  }

  get state(): LabelFeedState {
    return {
      isConnected: this.#isConnected,
      labelCount: this.#labelCount,
      skippedCounts: { ...this.#skippedCounts },
    }
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await waitAtMost(stopPatienceMs, this.#loop ?? Promise.resolve())
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      await this.#follow().catch((error: unknown) => this.#noteFailure(error))
      this.#isConnected = false
      const delayMs = Math.min(firstDelayMs * 2 ** this.#failureCount, longestDelayMs)
      this.#failureCount += 1
      if (!signal.aborted) await sleep(delayMs, signal).catch(() => undefined)
    }
  }

  async #follow(): Promise<void> {
    const { moderation } = this.#needs
    let labeler = await this.#findLabeler({ fresh: this.#failureCount > 0 })
    const cursor = this.#isFromStart ? 0 : await moderation.cursor()
    this.#isFromStart = false
    const { signal } = this.#stop
    const frames = labelFrames({
      serviceUrl: labeler.serviceUrl,
      cursor,
      signal,
      onOpen: () => {
        this.#isConnected = true
        log.info({ labeler: labeler.did, cursor }, 'following the labeler')
      },
    })
    let isKeyFresh = false
    for await (const frame of frames) {
      let { labels, skipped } = await readAll(frame, labeler)
      if (skipped.includes('badly signed') && !isKeyFresh) {
        // It may sign with a new key since; asked once a connection, so that forgeries cost little.
        isKeyFresh = true
        labeler = await this.#findLabeler({ fresh: true })
        ;({ labels, skipped } = await readAll(frame, labeler))
      }
      await moderation.apply(labels, frame.seq)
      for (const reason of skipped) this.#skippedCounts[reason] = (this.#skippedCounts[reason] ?? 0) + 1
      // Only now: one that is up but sends nonsense is not asked again and again.
      this.#failureCount = 0
      this.#labelCount += labels.length
    }
  }

  #noteFailure(error: unknown): void {
    if (this.#stop.signal.aborted) return
    if (error instanceof AtprotoError && error.xrpcError === 'FutureCursor') this.#isFromStart = true
    log.warn({ err: error }, 'the labeler cannot be followed; it will be tried again')
  }

  async #findLabeler(options: { fresh: boolean }): Promise<Labeler> {
    const { labelerDid, identities, allowsPlainHttp } = this.#needs
    const { document } = await identities.resolveDid(labelerDid, options)
    const labeler = labelerOf(labelerDid, document)
    if (!allowsPlainHttp && !labeler.serviceUrl.startsWith('https:')) {
      throw new AtprotoError(
        'address_refused',
        `${labeler.serviceUrl}: a labeler is followed over https only`,
      )
    }
    if (labeler.key === undefined) log.warn({ labeler: labelerDid }, 'the labeler has no key, so none of its labels counts') // prettier-ignore
    return labeler
  }
}

/** The labels of a frame that are the labeler's, and why the others are not. */
async function readAll(frame: LabelFrame, labeler: Labeler): Promise<{ labels: Label[]; skipped: string[] }> {
  const labels: Label[] = []
  const skipped: string[] = []
  for (const value of frame.labels) {
    const label = await readLabel(value, labeler)
    if (typeof label === 'string') skipped.push(label)
    else labels.push(label)
  }
  return { labels, skipped }
}
