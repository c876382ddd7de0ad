import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { ByteCache, type Loaded } from '../../lib/byte-cache.ts'
import type { Now } from '../../lib/clock.ts'
import { Slots } from '../../lib/slots.ts'
import { findForeignFile } from './foreign-files.ts'

const bytesMax = 100_000
const urlLengthMax = 2000
const cacheBytesMax = 8_000_000
const fetchCountMax = 4
/** Being fetched or waiting for it; more are forgotten until they are asked for again. */
const underWayCountMax = 100
const presentMs = 3_600_000
const absentMs = 10 * 60_000
/** Git hosts do not always know Markdown by name. */
const types = new Set(['text/plain', 'text/markdown', 'text/x-markdown', 'application/octet-stream'])

interface Needs {
  fetch: Fetch
  now: Now
}

/** READMEs that images name by their address (`io.atcr.readme`). No page waits for a stranger's server. */
export class RemoteReadmes {
  readonly #needs: Needs
  readonly #cache = new ByteCache<{ text: string | undefined }>({ bytesMax: cacheBytesMax })
  readonly #slots = new Slots(fetchCountMax)
  readonly #underWay = new Map<string, Promise<unknown>>()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** The text, as far as it is here; where it is not, it is fetched for who comes next. */
  peek(url: string): string | undefined {
    const nowMs = this.#needs.now().getTime()
    const known = this.#cache.peek(url, nowMs)
    if (known !== undefined) return known.text
    if (url.length <= urlLengthMax && !this.#underWay.has(url) && this.#underWay.size < underWayCountMax) {
      const loading = this.#cache
        .get(url, nowMs, () => this.#slots.run(() => this.#load(url)))
        .finally(() => this.#underWay.delete(url))
      this.#underWay.set(url, loading)
    }
    return undefined
  }

  /** When everything that was asked for has come, or failed. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }

  async #load(url: string): Promise<Loaded<{ text: string | undefined }>> {
    const file = await findForeignFile(this.#needs.fetch, url, {
      accept: 'text/markdown, text/plain;q=0.9',
      bytesMax,
    })
    const text = file !== undefined && types.has(file.type) ? textOf(file.bytes) : undefined
    return text === undefined
      ? { value: { text }, bytes: 100, freshMs: absentMs }
      : { value: { text }, bytes: text.length * 2, freshMs: presentMs }
  }
}

/** Undefined for bytes that are no text. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return text.includes('\0') || text.trim() === '' ? undefined : text
  } catch {
    return undefined
  }
}
