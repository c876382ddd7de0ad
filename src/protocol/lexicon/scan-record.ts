import type { DidString } from '@atproto/lex'

import { optional } from '../oci/descriptor.ts'
import type { Digest } from '../oci/digest.ts'
import * as schema from './generated/io/atcr/hold/scan.ts'
import { digestOfManifestRkey, manifestCollection } from './manifest-record.ts'
import { normalizeTime, plainBlob, readRecord, RecordError, splitAtUri, type PdsBlob } from './record.ts'

/** Collection of scan results in a hold's data repo. */
export const scanCollection = schema.$nsid

/** What a hold's scanner found in one manifest: how many vulnerabilities of which severity. */
export interface ScanRecord {
  /** Whose manifest was scanned. */
  ownerDid: DidString
  digest: Digest
  repository: string
  critical: number
  high: number
  medium: number
  low: number
  total: number
  scannerVersion: string
  /** RFC 3339, UTC. */
  scannedAt: string
  /** Software bill of materials, SPDX. */
  sbom?: PdsBlob
  /** The findings one by one. */
  report?: PdsBlob
}

/** Whether it lies under its own key is the reader's to check: `manifestRkey(record.digest)`. @throws RecordError */
export function parseScanRecord(value: unknown): ScanRecord {
  const record = readRecord(schema, value)
  const uri = splitAtUri(record.manifest)
  const digest = uri?.collection === manifestCollection ? digestOfManifestRkey(uri.rkey) : undefined
  if (!uri || digest === undefined) throw new RecordError('scan record names no manifest record')
  const { repository, critical, high, medium, low, total, scannerVersion, sbomBlob, vulnReportBlob } = record
  return {
    ownerDid: uri.did,
    digest,
    repository,
    critical,
    high,
    medium,
    low,
    total,
    scannerVersion,
    scannedAt: normalizeTime(record.scannedAt),
    ...optional('sbom', sbomBlob && plainBlob(sbomBlob)),
    ...optional('report', vulnReportBlob && plainBlob(vulnReportBlob)),
  }
}
