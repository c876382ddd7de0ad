import { cacheLookups } from '../../lib/cache-metrics.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { findManifestBytes, putManifestBytes, type CachedManifest } from '../db/manifest-bytes.ts'
import type { AppViewDb } from '../db/schema.ts'

const countManifest = cacheLookups('manifest')

const memoryBytesMax = 64 * 1024 * 1024

/** Exact manifest bytes by digest: the hot ones in memory, all of them in the database. Callers verify before `put`. */
export class ManifestStore {
  readonly #db: AppViewDb
  readonly #hot = new Map<Digest, CachedManifest>()
  #hotBytes = 0

  constructor(needs: { db: AppViewDb }) {
    this.#db = needs.db
  }

  async find(digest: Digest): Promise<CachedManifest | undefined> {
    const hot = this.#hot.get(digest)
    countManifest(hot !== undefined)
    if (hot !== undefined) {
      this.#hot.delete(digest)
      this.#hot.set(digest, hot)
      return hot
    }
    const kept = await findManifestBytes(this.#db, digest)
    if (kept !== undefined) this.#heat(digest, kept)
    return kept
  }

  /** Within a caller's transaction, so that an acknowledged push is in the cache as well. */
  async put(tx: AppViewDb, digest: Digest, manifest: CachedManifest & { cachedAt: Date }): Promise<void> {
    await putManifestBytes(tx, digest, manifest)
  }

  #heat(digest: Digest, manifest: CachedManifest): void {
    this.#hot.set(digest, manifest)
    this.#hotBytes += manifest.bytes.byteLength
    for (const [oldest, { bytes }] of this.#hot) {
      if (this.#hotBytes <= memoryBytesMax) return
      this.#hot.delete(oldest)
      this.#hotBytes -= bytes.byteLength
    }
  }
}
