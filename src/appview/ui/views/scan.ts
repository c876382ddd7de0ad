import type { Did } from '../../../atproto/syntax.ts'
import { cleanText } from '../../../lib/format.ts'
import type { Digest } from '../../../protocol/oci/digest.ts'
import { findHold } from '../../db/holds.ts'
import { findScans, type Scan } from '../../db/scans.ts'
import type { AppViewDb } from '../../db/schema.ts'
import { holdView, type HoldView } from './hold-name.ts'

/** How many weaknesses a scanner found, by how bad they are. */
export interface ScanCounts {
  critical: number
  high: number
  medium: number
  low: number
  total: number
}

/** What a hold's scanner found, and where its reports are. */
export interface ScanView extends ScanCounts {
  scannedAt: Date
  scannerVersion: string
  hold: HoldView
  /** Addresses at the hold; undefined where it has none, or does not give them to everyone. */
  reportHref: string | undefined
  sbomHref: string | undefined
}

/** What was found in several manifests of an owner, which may be seen; by digest. */
export async function viewScanCounts(
  db: AppViewDb,
  ownerDid: Did,
  digests: readonly Digest[],
): Promise<ReadonlyMap<Digest, ScanCounts>> {
  return findScans(db, ownerDid, digests)
}

/** The newest scan of a manifest that may be seen. */
export async function viewScan(db: AppViewDb, ownerDid: Did, digest: Digest): Promise<ScanView | undefined> {
  const scan = (await findScans(db, ownerDid, [digest])).get(digest)
  if (scan === undefined) return undefined
  const { critical, high, holdDid, low, medium, total } = scan
  return {
    critical,
    high,
    medium,
    low,
    total,
    scannedAt: new Date(scan.scannedAt),
    scannerVersion: cleanText(scan.scannerVersion, 64),
    hold: holdView(holdDid),
    ...(await reportHrefs(db, scan)),
  }
}

async function reportHrefs(
  db: AppViewDb,
  { holdDid, reportCid, sbomCid }: Scan,
): Promise<Pick<ScanView, 'reportHref' | 'sbomHref'>> {
  const hold = await findHold(db, holdDid)
  const isOpen = hold?.captain?.isPublic === true && hold.url !== undefined && URL.canParse(hold.url)
  const href = (cid: string | undefined) => {
    if (cid === undefined || !isOpen) return undefined
    const url = new URL('/xrpc/com.atproto.sync.getBlob', hold.url)
    url.search = new URLSearchParams({ did: holdDid, cid }).toString()
    return /^https?:$/.test(url.protocol) ? url.href : undefined
  }
  return { reportHref: href(reportCid), sbomHref: href(sbomCid) }
}
