import { expect, test } from 'vitest'

import { parseActorProfileRecord } from './actor-profile-record.ts'
import { RecordError } from './record.ts'
import { parseScanRecord } from './scan-record.ts'

const did = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz'
const hex = 'a'.repeat(64)
const cid = 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'
const blob = (mimeType: string) => ({ $type: 'blob', ref: { $link: cid }, mimeType, size: 5 })
const scan = {
  $type: 'io.atcr.hold.scan',
  manifest: `at://${did}/io.atcr.manifest/${hex}`,
  repository: 'app',
  userDid: did,
  critical: 1,
  high: 2,
  medium: 3,
  low: 4,
  total: 10,
  scannerVersion: 'x 1',
  scannedAt: '2026-01-02T03:04:05+01:00',
}

test('a scan record says what was found in whose manifest', () => {
  expect(parseScanRecord({ ...scan, sbomBlob: blob('application/spdx+json') })).toEqual({
    ownerDid: did,
    digest: `sha256:${hex}`,
    repository: 'app',
    critical: 1,
    high: 2,
    medium: 3,
    low: 4,
    total: 10,
    scannerVersion: 'x 1',
    scannedAt: '2026-01-02T02:04:05.000Z',
    sbom: { cid, mimeType: 'application/spdx+json', sizeBytes: 5 },
  })
})

test.each([
  ['no manifest', { manifest: `at://${did}/io.atcr.tag/${hex}` }],
  ['a manifest without a digest', { manifest: `at://${did}/io.atcr.manifest/x` }],
  ['less than nothing', { critical: -1 }],
  ['half a finding', { total: 0.5 }],
  ['a report of another kind', { vulnReportBlob: blob('text/html') }],
  ['no time', { scannedAt: 'today' }],
])('a scan record of %s is refused', (_, fields) => {
  expect(() => parseScanRecord({ ...scan, ...fields })).toThrow(RecordError)
})

test('a profile is shown without what would break a page', () => {
  const profile = {
    displayName: ' Alice\u202e\n\u0000 of\t\u2066Wonderland ',
    description: '\u200fOne\r\ntwo\u0007 ',
    avatar: blob('image/png'),
  }
  expect(parseActorProfileRecord(profile)).toEqual({
    displayName: 'Alice of Wonderland',
    description: 'One\ntwo',
    avatarCid: cid,
  })
  expect(parseActorProfileRecord({ displayName: '\u202e \n' })).toEqual({})
  const family = '👨‍👩‍👧‍👦'
  expect(parseActorProfileRecord({ displayName: family.repeat(20) }).displayName).toBe(family.repeat(20))
})

test('a profile that is none is refused', () => {
  expect(() => parseActorProfileRecord({ displayName: 'x'.repeat(10_000) })).toThrow(RecordError)
  expect(() => parseActorProfileRecord({ avatar: 'bafy' })).toThrow(RecordError)
  expect(() => parseActorProfileRecord('x')).toThrow(RecordError)
})
