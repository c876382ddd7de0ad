import { isDigest, type Digest } from '../../../protocol/oci/digest.ts'
import { isManifestShown } from '../../db/listings.ts'
import { findManifestLinks, findManifests, type Manifest } from '../../db/manifests.ts'
import type { ManifestLookup } from '../../services/manifest-lookup.ts'
import { jsonLines, type JsonLine } from './json-lines.ts'
import { manifestPath } from './manifest-page.ts'
import type { OwnerView, ViewNeeds } from './owner.ts'
import type { ShownRepository } from './shown-repository.ts'

/** A manifest's bytes as text. */
export interface RawManifestView {
  owner: OwnerView
  name: string
  repositoryPath: string
  path: string
  digest: Digest
  sizeBytes: number
  lines: JsonLine[]
  /** Where a digest among the lines leads. */
  hrefs: Map<string, string>
  isCut: boolean
  /** Path of the exact bytes. */
  downloadPath: string
  /** Where clients fetch them. */
  registryPath: string
}

/** Of the page's hundred kilobytes; the frame has some, and a line is more in HTML than its text. */
const textLengthMax = 46_000
const lineLength = 60

/** The exact bytes of a manifest that may be seen; undefined when it may not, or nobody has them. */
export async function findRawManifest(
  { db, manifestLookup, viewer }: ViewNeeds & { manifestLookup: Pick<ManifestLookup, 'findBytes'> },
  { key }: ShownRepository,
  reference: string,
): Promise<{ row: Manifest; bytes: Uint8Array | undefined } | undefined> {
  if (!isDigest(reference) || !(await isManifestShown(db, key, { digest: reference, viewer })))
    return undefined
  const row = (await findManifests(db, key.ownerDid, [reference])).get(reference)
  return row && { row, bytes: await manifestLookup.findBytes(row) }
}

export async function viewRawManifest(
  { db }: Pick<ViewNeeds, 'db'>,
  { key, owner, path: repositoryPath }: ShownRepository,
  { bytes, digest }: { bytes: Uint8Array; digest: Digest },
): Promise<RawManifestView> {
  const links = (await findManifestLinks(db, key.ownerDid, [digest])).get(digest) ?? []
  const hrefs = links.map(({ kind, targetDigest }): [string, string] => [
    targetDigest,
    kind === 'manifest'
      ? manifestPath(repositoryPath, targetDigest)
      : `${repositoryPath}/-/blob/${targetDigest}`,
  ])
  const path = `${repositoryPath}/-/raw/${digest}`
  return {
    owner,
    name: key.name,
    repositoryPath,
    path,
    digest,
    sizeBytes: bytes.byteLength,
    ...jsonLines(new TextDecoder().decode(bytes), { textLengthMax, lineLength }),
    hrefs: new Map(hrefs),
    downloadPath: `${path}?download`,
    registryPath: `/v2/${owner.imageName}/${key.name}/manifests/${digest}`,
  }
}
