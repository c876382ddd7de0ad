/** What holds say of the repositories they keep: how often they were pulled, what a scanner found in them. */
import { normalizeDid } from '../../atproto/syntax.ts'
import { scanCollection, type ScanRecord } from '../../protocol/lexicon/scan-record.ts'
import { statsCollection, type StatsRecord } from '../../protocol/lexicon/stats-record.ts'
import { deleteHoldStats, upsertHoldStats } from '../db/hold-stats.ts'
import { deleteScan, upsertScan } from '../db/scans.ts'
import type { AppViewDb } from '../db/schema.ts'
import { ifNewer, type RecordPut, type RecordVersion } from './change.ts'
import { recordTime } from './record-time.ts'

/** Nobody counts that far; sums of such counts are still whole numbers. */
const countMax = 1_000_000_000_000

/** A hold counted pulls and pushes of a repository. It speaks for itself: whether that counts is asked when it is read. */
export function applyStats(tx: AppViewDb, change: RecordPut<StatsRecord>): Promise<boolean> {
  const { record, rev } = change
  return ifNewer(tx, { ...change, collection: statsCollection, isDeleted: false }, () =>
    upsertHoldStats(tx, {
      holdDid: normalizeDid(change.did),
      rkey: change.rkey,
      repository: { ownerDid: normalizeDid(record.ownerDid), name: record.repository },
      pullCount: Math.min(record.pullCount, countMax),
      pushCount: Math.min(record.pushCount, countMax),
      lastPull: record.lastPull && recordTime(record.lastPull, rev),
      lastPush: record.lastPush && recordTime(record.lastPush, rev),
      updatedAt: recordTime(record.updatedAt, rev),
    }),
  )
}

/** A hold took its counts back. */
export function removeStats(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection: statsCollection, isDeleted: true }, () =>
    deleteHoldStats(tx, normalizeDid(change.did), change.rkey),
  )
}

/** A hold scanned a manifest. */
export function applyScan(tx: AppViewDb, change: RecordPut<ScanRecord>): Promise<boolean> {
  const { record, rev } = change
  return ifNewer(tx, { ...change, collection: scanCollection, isDeleted: false }, () =>
    upsertScan(tx, {
      holdDid: normalizeDid(change.did),
      rkey: change.rkey,
      ownerDid: normalizeDid(record.ownerDid),
      digest: record.digest,
      repository: record.repository,
      critical: Math.min(record.critical, countMax),
      high: Math.min(record.high, countMax),
      medium: Math.min(record.medium, countMax),
      low: Math.min(record.low, countMax),
      total: Math.min(record.total, countMax),
      scannerVersion: record.scannerVersion,
      scannedAt: recordTime(record.scannedAt, rev),
      sbomCid: record.sbom?.cid,
      reportCid: record.report?.cid,
    }),
  )
}

/** A hold took a scan back. */
export function removeScan(tx: AppViewDb, change: RecordVersion): Promise<boolean> {
  return ifNewer(tx, { ...change, collection: scanCollection, isDeleted: true }, () =>
    deleteScan(tx, normalizeDid(change.did), change.rkey),
  )
}
