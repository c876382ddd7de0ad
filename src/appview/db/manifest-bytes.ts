import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb } from './schema.ts'

/** The exact bytes that were hashed. The cache is by content, so an entry never goes stale. */
export interface CachedManifest {
  mediaType: string
  bytes: Uint8Array
}

export async function findManifestBytes(db: AppViewDb, digest: Digest): Promise<CachedManifest | undefined> {
  const row = await db
    .selectFrom('manifest_bytes')
    .select(['media_type', 'bytes'])
    .where('digest', '=', digest)
    .executeTakeFirst()
  return row && { mediaType: row.media_type, bytes: row.bytes }
}

/** Keeps bytes whose digest the caller has verified. */
export async function putManifestBytes(
  db: AppViewDb,
  digest: Digest,
  manifest: CachedManifest & { cachedAt: Date },
): Promise<void> {
  await db
    .insertInto('manifest_bytes')
    .values({
      digest,
      media_type: manifest.mediaType,
      bytes: manifest.bytes,
      cached_at: manifest.cachedAt.toISOString(),
    })
    .onConflict((conflict) => conflict.column('digest').doNothing())
    .execute()
}
