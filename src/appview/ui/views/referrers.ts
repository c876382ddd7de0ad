import { digestAlgorithm, digestHex, type Digest } from '../../../protocol/oci/digest.ts'
import { findShownTag, listShownReferrers } from '../../db/listings.ts'
import type { RepositoryKey } from '../../db/schema.ts'
import type { Cut } from './loose-json.ts'
import { describeManifests } from './manifest.ts'
import type { ViewNeeds } from './owner.ts'
import { type PullCommand, type RegistryAddress } from './pull-commands.ts'

/** Something that refers to a manifest: a signature, an SBOM, an attestation. */
export interface ReferrerView {
  digest: Digest
  path: string
  label: string
  sizeBytes: number
  createdAt: Date
  /** The tag it goes by, for those that cosign names by the digest they are about. */
  tag: string | undefined
}

export interface ReferrersView {
  list: Cut<ReferrerView>
  /** How to look at them all, and to check them. */
  commands: PullCommand[]
}

const countMax = 40
/** cosign, before registries kept referrers: `sha256-<hex>.sig` (cosign, "SPEC: Storage"). */
const cosignTags = [
  ['sig', 'Signature'],
  ['att', 'Attestation'],
  ['sbom', 'SBOM'],
] as const

/** What refers to a manifest in a repository, by its subject or by a tag in cosign's scheme. */
export async function viewReferrers(
  needs: ViewNeeds & { registry: RegistryAddress },
  repository: RepositoryKey,
  about: { digest: Digest; image: string; pathOf: (digest: Digest) => string },
): Promise<ReferrersView> {
  const { db, viewer } = needs
  const { digest, image, pathOf } = about
  const digests = await listShownReferrers(db, repository, { digest, viewer, limit: countMax + 1 })
  const tagged = await findCosignTags(needs, repository, digest)
  const all = [...new Set([...digests, ...tagged.keys()])]
  const manifests = await describeManifests(db, repository, all)
  const items = all.flatMap((found): ReferrerView[] => {
    const manifest = manifests.get(found)
    if (manifest === undefined) return []
    const { createdAt, kindLabel, sizeBytes } = manifest
    const { label = kindLabel ?? 'Image', tag } = tagged.get(found) ?? {}
    return [{ digest: found, path: pathOf(found), label, sizeBytes, createdAt, tag }]
  })
  const shown = items.slice(0, countMax)
  return {
    list: { items: shown, moreCount: items.length - shown.length },
    commands: commandsFor(needs.registry, image, shown),
  }
}

async function findCosignTags(
  { db, viewer }: ViewNeeds,
  repository: RepositoryKey,
  digest: Digest,
): Promise<Map<Digest, { label: string; tag: string }>> {
  const found = new Map<Digest, { label: string; tag: string }>()
  for (const [suffix, label] of cosignTags) {
    const tag = `${digestAlgorithm(digest)}-${digestHex(digest)}.${suffix}`
    const row = await findShownTag(db, repository, { tag, viewer })
    if (row !== undefined) found.set(row.digest, { label, tag })
  }
  return found
}

function commandsFor(
  registry: RegistryAddress,
  image: string,
  referrers: readonly ReferrerView[],
): PullCommand[] {
  if (referrers.length === 0) return []
  const has = (label: string) => referrers.some((referrer) => referrer.label === label)
  const oras = registry.isPlainHttp ? 'oras discover --plain-http' : 'oras discover'
  const cosign = registry.isPlainHttp ? ' --allow-http-registry' : ''
  return [
    { client: 'oras', command: `${oras} ${image}` },
    ...(has('Signature')
      ? [{ client: 'cosign', command: `cosign verify${cosign} --key cosign.pub ${image}` }]
      : []),
    ...(has('Provenance') || has('Attestation')
      ? [{ client: 'cosign', command: `cosign verify-attestation${cosign} --key cosign.pub ${image}` }]
      : []),
  ]
}
