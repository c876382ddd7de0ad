import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { AppViewDb } from './schema.ts'

/** What a hold's scanner found in a manifest. */
export interface Scan {
  holdDid: Did
  digest: Digest
  critical: number
  high: number
  medium: number
  low: number
  total: number
  scannerVersion: string
  scannedAt: string
  /** Blobs in the hold's PDS. */
  sbomCid?: string | undefined
  reportCid?: string | undefined
}

export async function upsertScan(
  db: AppViewDb,
  scan: Scan & { rkey: string; ownerDid: Did; repository: string },
): Promise<void> {
  const columns = {
    owner_did: scan.ownerDid,
    digest: scan.digest,
    repository: scan.repository,
    critical: scan.critical,
    high: scan.high,
    medium: scan.medium,
    low: scan.low,
    total: scan.total,
    scanner_version: scan.scannerVersion,
    scanned_at: scan.scannedAt,
    sbom_cid: scan.sbomCid ?? null,
    report_cid: scan.reportCid ?? null,
  }
  await db
    .insertInto('scans')
    .values({ hold_did: scan.holdDid, rkey: scan.rkey, ...columns })
    .onConflict((conflict) => conflict.columns(['hold_did', 'rkey']).doUpdateSet(columns))
    .execute()
}

export async function deleteScan(db: AppViewDb, holdDid: Did, rkey: string): Promise<void> {
  await db.deleteFrom('scans').where('hold_did', '=', holdDid).where('rkey', '=', rkey).execute()
}

/**
 * The newest scan of each of an owner's manifests that has one. A hold has a say about what is on it, or on the hold
 * it succeeded; about the same bytes of somebody else's it has said the same.
 */
export async function findScans(
  db: AppViewDb,
  ownerDid: Did,
  digests: readonly Digest[],
): Promise<Map<Digest, Scan>> {
  if (digests.length === 0) return new Map()
  const rows = await db
    .selectFrom('scans')
    .innerJoin('manifests', 'manifests.digest', 'scans.digest')
    .leftJoin('holds', 'holds.did', 'manifests.hold_did')
    .selectAll('scans')
    .where('manifests.owner_did', '=', ownerDid)
    .where('scans.digest', 'in', digests)
    .where((eb) =>
      eb.or([
        eb('scans.hold_did', '=', eb.ref('manifests.hold_did')),
        eb('scans.hold_did', '=', eb.ref('holds.successor_did')),
      ]),
    )
    .orderBy('scans.scanned_at')
    .orderBy('scans.hold_did')
    .execute()
  return new Map(
    rows.map((row) => [
      row.digest,
      {
        holdDid: row.hold_did,
        digest: row.digest,
        critical: row.critical,
        high: row.high,
        medium: row.medium,
        low: row.low,
        total: row.total,
        scannerVersion: row.scanner_version,
        scannedAt: row.scanned_at,
        ...(row.sbom_cid !== null && { sbomCid: row.sbom_cid }),
        ...(row.report_cid !== null && { reportCid: row.report_cid }),
      },
    ]),
  )
}
