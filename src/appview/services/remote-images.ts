import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { ByteCache } from '../../lib/byte-cache.ts'
import type { Now } from '../../lib/clock.ts'
import { imageTypeOf } from '../../lib/image-type.ts'
import { Slots } from '../../lib/slots.ts'
import type { Picture } from './avatars.ts'
import { findForeignFile } from './foreign-files.ts'
import type { Sealing } from './sealing.ts'

export const remoteImageBytesMax = 3_000_000
const urlLengthMax = 2000
const cacheBytesMax = 48_000_000
const fetchCountMax = 8
/** Pictures that wait for their turn; whoever asks for one more is told to come again. */
const waitingCountMax = 200
const presentMs = 24 * 3_600_000
const absentMs = 10 * 60_000

interface Needs {
  fetch: Fetch
  sealing: Pick<Sealing, 'isSigned' | 'sign'>
  now: Now
}

/**
 * Pictures of other sites, handed out by us: who reads a page is seen by nobody else. Only for addresses that a page of
 * ours shows, which a signature tells; we fetch for nobody else.
 */
export class RemoteImages {
  readonly #needs: Needs
  readonly #cache = new ByteCache<Picture | 'absent'>({ bytesMax: cacheBytesMax })
  readonly #slots = new Slots(fetchCountMax, { waitingMax: waitingCountMax })

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Where we hand out the picture at `url`. */
  path(url: string): string {
    const key = this.#needs.sealing.sign('image', url)
    return `/image?${new URLSearchParams({ url, key }).toString()}`
  }

  /** Undefined where we never gave the address out, and where no picture is to be had there. */
  async find(url: string, key: string): Promise<Picture | undefined> {
    const { now, sealing } = this.#needs
    if (url.length > urlLengthMax || !sealing.isSigned('image', url, key)) return undefined
    const found = await this.#cache.get(url, now().getTime(), async () => {
      const picture = await this.#slots.run(() => this.#fetch(url))
      return picture === undefined
        ? { value: 'absent', bytes: 100, freshMs: absentMs }
        : { value: picture, bytes: picture.bytes.byteLength, freshMs: presentMs }
    })
    return found === 'absent' ? undefined : found
  }

  async #fetch(url: string): Promise<Picture | undefined> {
    const options = { accept: 'image/webp, image/png, image/jpeg, image/gif', bytesMax: remoteImageBytesMax }
    const file = await findForeignFile(this.#needs.fetch, url, options)
    const type = file && imageTypeOf(file.bytes)
    return file && type && { bytes: file.bytes, type }
  }
}
