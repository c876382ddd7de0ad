import { pdsBlobCid } from '../../atproto/pds-blob-cid.ts'
import type { Did } from '../../atproto/syntax.ts'
import { ByteCache } from '../../lib/byte-cache.ts'
import type { Now } from '../../lib/clock.ts'
import { sha256Hex } from '../../lib/ids.ts'
import { imageTypeOf, type ImageType } from '../../lib/image-type.ts'
import { Slots } from '../../lib/slots.ts'
import { isAvatar } from '../db/avatars.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { PdsBlobs } from '../ports/pds-blobs.ts'

/** A picture as it is handed out. */
export interface Picture {
  bytes: Uint8Array
  type: ImageType
}

/** As the lexicons of pages and profiles allow. */
export const avatarBytesMax = 3_000_000
const cacheBytesMax = 32_000_000
const fetchCountMax = 8
/** Pictures that wait for their turn; whoever asks for one more is told to come again. */
const waitingCountMax = 200
const dayMs = 24 * 3_600_000
/** After which a PDS is asked again for what it did not have. */
const absentMs = 60_000
const types: ReadonlySet<ImageType | undefined> = new Set(['image/png', 'image/jpeg', 'image/webp'])

interface Needs {
  db: AppViewDb
  pds: PdsBlobs
  now: Now
}

/** Pictures of accounts and repositories, from the PDS that has them. */
export class Avatars {
  readonly #needs: Needs
  readonly #cache = new ByteCache<Picture | 'absent'>({ bytesMax: cacheBytesMax })
  readonly #slots = new Slots(fetchCountMax, { waitingMax: waitingCountMax })

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * A picture that the index names; nothing else is ever asked for. Undefined where it is gone, too big, no picture, or
   * not what its CID says. @throws {AppViewError} as {@link PdsBlobs}
   */
  async find(did: Did, cid: string): Promise<Picture | undefined> {
    if (!(await isAvatar(this.#needs.db, did, cid))) return undefined
    const nowMs = this.#needs.now().getTime()
    const found = await this.#cache.get(`${did} ${cid}`, nowMs, async () => {
      const picture = await this.#slots.run(() => this.#fetch(did, cid))
      return picture === undefined
        ? { value: 'absent', bytes: 100, freshMs: absentMs }
        : { value: picture, bytes: picture.bytes.byteLength, freshMs: dayMs }
    })
    return found === 'absent' ? undefined : found
  }

  async #fetch(did: Did, cid: string): Promise<Picture | undefined> {
    const bytes = await this.#needs.pds.findBlob(did, cid, avatarBytesMax)
    if (bytes === undefined || pdsBlobCid(sha256Hex(bytes)) !== cid) return undefined
    const type = imageTypeOf(bytes)
    return type !== undefined && types.has(type) ? { bytes, type } : undefined
  }
}
