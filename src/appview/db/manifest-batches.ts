import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { allLinks, toLink, toManifest, type Manifest, type ManifestLink } from './manifests.ts'
import type { AppViewDb } from './schema.ts'

/** A manifest of an owner. */
export interface ManifestKey {
  ownerDid: Did
  digest: Digest
}

/** One text for one manifest, to look up in maps. */
export const manifestKey = ({ ownerDid, digest }: ManifestKey): string => `${ownerDid} ${digest}`

/** Manifests of several owners at once, by {@link manifestKey}; unknown ones are absent. */
export async function findManifestsOfOwners(
  db: AppViewDb,
  keys: readonly ManifestKey[],
): Promise<Map<string, Manifest>> {
  if (keys.length === 0) return new Map()
  const wanted = new Set(keys.map(manifestKey))
  const rows = await db
    .selectFrom('manifests')
    .selectAll()
    .where('owner_did', 'in', ownersOf(keys))
    .where('digest', 'in', digestsOf(keys))
    .execute()
  const manifests = rows.map(toManifest).map((manifest) => [manifestKey(manifest), manifest] as const)
  return new Map(manifests.filter(([key]) => wanted.has(key)))
}

/** What manifests of several owners point at, in each manifest's order, by the manifest's {@link manifestKey}; the first `countMax` of each. */
export async function findLinksOfOwners(
  db: AppViewDb,
  keys: readonly ManifestKey[],
  { countMax = allLinks }: { countMax?: number } = {},
): Promise<Map<string, ManifestLink[]>> {
  const links = new Map<string, ManifestLink[]>()
  if (keys.length === 0) return links
  const wanted = new Set(keys.map(manifestKey))
  const rows = await db
    .selectFrom('manifest_links')
    .selectAll()
    .where('owner_did', 'in', ownersOf(keys))
    .where('digest', 'in', digestsOf(keys))
    .where('position', '<', countMax)
    .orderBy('owner_did')
    .orderBy('digest')
    .orderBy('position')
    .execute()
  for (const row of rows) {
    const key = manifestKey({ ownerDid: row.owner_did, digest: row.digest })
    if (!wanted.has(key)) continue
    const list = links.get(key)
    if (list === undefined) links.set(key, [toLink(row)])
    else list.push(toLink(row))
  }
  return links
}

const ownersOf = (keys: readonly ManifestKey[]): Did[] => [...new Set(keys.map((key) => key.ownerDid))]
const digestsOf = (keys: readonly ManifestKey[]): Digest[] => [...new Set(keys.map((key) => key.digest))]
