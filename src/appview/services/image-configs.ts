import type { Did } from '../../atproto/syntax.ts'
import { sleep, type Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import { logger } from '../../lib/log.ts'
import { ByteLimitError, collectBytes } from '../../lib/streams.ts'
import { digestAlgorithm, digestOfBytes, type Digest } from '../../protocol/oci/digest.ts'
import { deleteOldConfigBytes, findConfigBytes, putConfigBytes } from '../db/config-bytes.ts'
import { findHold } from '../db/holds.ts'
import type { AppViewTables } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { HoldBlobs } from '../ports/hold-blobs.ts'
import { FreshCache } from './fresh-cache.ts'
import type { Holds } from './holds.ts'

/** Configs of images have a few kilobytes; those of builds with very long histories a few hundred. */
export const configBytesMax = 1024 * 1024
/** Larger ones are read anew each time, so that the table stays below a gigabyte whatever is pushed. */
const cachedBytesMax = 128 * 1024
const cachedCountMax = 5_000
/** The table is swept once for so many new rows. */
const sweepEvery = 50
/** A hold that is slower than this does not keep people from the rest of the page. */
const patienceMs = 5_000
/** A hold that failed is not asked for the same again before this. */
const failureFreshMs = 30_000

/** What a manifest's config says, or why that is not known. */
export type ReadConfig =
  | { outcome: 'read'; bytes: Uint8Array }
  /** The hold did not answer (in time), or did not let the reader read. */
  | { outcome: 'unreachable' }
  /** The hold answered, and has no such blob. */
  | { outcome: 'missing' }
  /** More bytes than {@link configBytesMax}, or not those that the digest promises. */
  | { outcome: 'too_large' | 'corrupt' }

export interface WantedConfig {
  ownerDid: Did
  holdDid: Did
  digest: Digest
  sizeBytes: number
}

interface Needs {
  db: Database<AppViewTables>
  holds: Pick<Holds, 'locateBlob'>
  blobs: Pick<HoldBlobs, 'open'>
  now: Now
}

const log = logger('appview:configs')

/**
 * Reads configs of images from their holds. The caller has made sure that the reader may see the manifest. What a public
 * hold gives to everyone is kept; a private hold is asked each time, as the reader: nothing of it is kept here.
 */
export class ImageConfigs {
  readonly #needs: Needs
  readonly #failures = new FreshCache<ReadConfig>({ countMax: 1_000 })
  #putCount = 0

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async read(wanted: WantedConfig, reader: Did | undefined): Promise<ReadConfig> {
    const { digest, holdDid, sizeBytes } = wanted
    if (sizeBytes > configBytesMax) return { outcome: 'too_large' }
    const isPublic = (await findHold(this.#needs.db, holdDid))?.captain?.isPublic === true
    const kept = isPublic ? await findConfigBytes(this.#needs.db, { holdDid, digest }) : undefined
    if (kept !== undefined) return { outcome: 'read', bytes: kept }
    const as = isPublic ? undefined : reader
    const nowMs = this.#needs.now().getTime()
    const key = `${holdDid} ${as ?? ''} ${digest}`
    const result = await this.#failures.get(key, nowMs, async () => {
      const value = await this.#ask(wanted, as)
      return { value, freshUntilMs: value.outcome === 'read' ? 0 : nowMs + failureFreshMs }
    })
    if (isPublic && result.outcome === 'read') await this.#keep(holdDid, digest, result.bytes)
    return result
  }

  async #ask(wanted: WantedConfig, reader: Did | undefined): Promise<ReadConfig> {
    const stop = new AbortController()
    const late = sleep(patienceMs, stop.signal).then((): ReadConfig => ({ outcome: 'unreachable' }))
    // Neither outlives the other's end: the race is over for both.
    late.catch(() => undefined)
    const asked = this.#fetch(wanted, reader, stop.signal)
    asked.catch(() => undefined)
    try {
      return await Promise.race([asked, late])
    } catch (err) {
      if (!(err instanceof AppViewError)) throw err
      log.debug({ err, hold: wanted.holdDid }, 'a config could not be read')
      return { outcome: 'unreachable' }
    } finally {
      stop.abort()
    }
  }

  async #fetch(wanted: WantedConfig, reader: Did | undefined, signal: AbortSignal): Promise<ReadConfig> {
    const { digest, holdDid, ownerDid } = wanted
    const location = await this.#needs.holds.locateBlob(holdDid, reader, { ownerDid, digest })
    if (location === undefined) return { outcome: 'missing' }
    const { status, body } = await this.#needs.blobs.open(location.url, { method: 'GET', signal })
    if (status !== 200) {
      body.destroy()
      return { outcome: status === 404 ? 'missing' : 'unreachable' }
    }
    try {
      const bytes = await collectBytes(body, configBytesMax)
      const isRight = digestOfBytes(bytes, digestAlgorithm(digest)) === digest
      return isRight ? { outcome: 'read', bytes } : { outcome: 'corrupt' }
    } catch (error) {
      if (error instanceof ByteLimitError) return { outcome: 'too_large' }
      throw new AppViewError('hold_unreachable', `hold ${holdDid} broke off`, { cause: error })
    }
  }

  async #keep(holdDid: Did, digest: Digest, bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength > cachedBytesMax) return
    const { db, now } = this.#needs
    await putConfigBytes(db, { holdDid, digest }, { bytes, cachedAt: now() })
    if (++this.#putCount % sweepEvery === 0) await deleteOldConfigBytes(db, cachedCountMax)
  }
}
