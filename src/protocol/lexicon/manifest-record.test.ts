import { jsonToLex } from '@atproto/lex'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { digestOfBytes } from '../oci/digest.ts'
import { parseManifest } from '../oci/manifest.ts'
import { manifestMediaTypes } from '../oci/media-types.ts'
import { buildManifestRecord, manifestRecordSizeBytesMax } from './build-manifest-record.ts'
import * as schema from './generated/io/atcr/manifest.ts'
import { digestOfManifestRkey, manifestRkey, parseManifestRecord } from './manifest-record.ts'
import { RecordError } from './record.ts'

const { ociManifest, ociIndex } = manifestMediaTypes
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const digest = digestOfBytes(encode('x'))
const digest512 = digestOfBytes(encode('x'), 'sha512')
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 1 }
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 10 }
const manifestBlob = {
  $type: 'blob' as const,
  ref: { $link: 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku' },
  mimeType: ociManifest,
  size: 300,
}
const createdAt = new Date('2026-01-02T03:04:05Z')

function build(body: object, mediaType: string = ociManifest) {
  const manifest = parseManifest(encode({ schemaVersion: 2, mediaType, ...body }), mediaType)
  const record = buildManifestRecord({
    manifest,
    digest,
    repositories: ['app'],
    holdDid: 'did:web:localhost%3A8080',
    manifestBlob,
    createdAt,
  })
  return { manifest, record }
}

const isValid = (record: unknown) => schema.$safeParse(jsonToLex(record as never)).success

describe('record keys', () => {
  test('plain hex for sha256, with the algorithm for sha512', () => {
    expect(manifestRkey(digest)).toMatch(/^[0-9a-f]{64}$/)
    expect(manifestRkey(digest512)).toMatch(/^sha512-[0-9a-f]{128}$/)
  })

  test.each([digest, digest512])('lead back to %s', (digest) => {
    expect(digestOfManifestRkey(manifestRkey(digest))).toBe(digest)
  })

  test.each([
    '',
    'self',
    'sha256',
    `sha256-${'0'.repeat(64)}`,
    '0'.repeat(63),
    'A'.repeat(64),
    '0'.repeat(128),
  ])('%j is no key', (rkey) => {
    expect(digestOfManifestRkey(rkey)).toBeUndefined()
  })
})

describe('a record that we write', () => {
  test('is valid and reads back', () => {
    const { manifest, record } = build({
      config,
      layers: [{ ...layer, annotations: { a: 'b' }, urls: ['https://example.com/x'] }],
      subject: { mediaType: ociManifest, digest, size: 3 },
      annotations: { title: 'x' },
    })
    expect(isValid(record)).toBe(true)
    const { config: _, ...rest } = parseManifestRecord(record)
    expect(rest).toEqual({
      repository: 'app',
      repositories: ['app'],
      digest,
      mediaType: ociManifest,
      schemaVersion: 2,
      holdDid: 'did:web:localhost%3A8080',
      manifestBlob: { cid: manifestBlob.ref.$link, mimeType: ociManifest, sizeBytes: 300 },
      layers: manifest.layers,
      manifests: [],
      subject: manifest.subject,
      artifactType: config.mediaType,
      annotations: { title: 'x' },
      createdAt: '2026-01-02T03:04:05.000Z',
      isComplete: true,
    })
  })

  test('keeps the platforms of an index', () => {
    const platform = {
      architecture: 'arm64',
      os: 'linux',
      variant: 'v8',
      'os.version': '10',
      'os.features': ['y'],
    }
    const { manifest, record } = build({ manifests: [{ ...layer, platform }] }, ociIndex)
    expect(parseManifestRecord(record).manifests).toEqual(manifest.manifests)
    expect(parseManifestRecord(record).isComplete).toBe(true)
  })

  test('is complete for an index of nothing', () => {
    expect(parseManifestRecord(build({ manifests: [] }, ociIndex).record).isComplete).toBe(true)
  })

  test('leaves out annotations that would mean something to ATProto', () => {
    const { record } = build({ config, layers: [], annotations: { $type: 'blob', $link: 'x', fine: 'y' } })
    expect(record['annotations']).toEqual({ fine: 'y' })
  })

  test('leaves out a platform that does not fit, and keeps the manifest', () => {
    const platform = { architecture: 'x'.repeat(65), os: 'linux' }
    const { record } = build({ manifests: [{ ...layer, platform }] }, ociIndex)
    expect(isValid(record)).toBe(true)
    expect(parseManifestRecord(record).manifests).toEqual([
      { mediaType: layer.mediaType, digest, sizeBytes: 10 },
    ])
  })

  test.each([
    ['long annotations', { config, layers: [layer], annotations: { a: 'x'.repeat(3_000_000) } }, true],
    [
      'long annotations of layers',
      { config, layers: [{ ...layer, annotations: { a: 'x'.repeat(200_000) } }] },
      true,
    ],
    ['thousands of layers', { config, layers: Array.from({ length: 4000 }, () => layer) }, false],
    [
      'more layers than a record may have',
      { config, layers: Array.from({ length: 5000 }, () => layer) },
      false,
    ],
  ])('fits the PDS with %s', (_, body, isComplete) => {
    const { record } = build(body)
    expect(JSON.stringify(record).length).toBeLessThanOrEqual(manifestRecordSizeBytesMax)
    expect(isValid(record)).toBe(true)
    expect(parseManifestRecord(record).isComplete).toBe(isComplete)
  })

  test('is valid whatever the texts in the manifest', () => {
    const text = fc.string({ unit: 'binary', maxLength: 300 })
    const odd = fc.record({
      artifactType: text,
      annotations: fc.dictionary(text, text),
      urls: fc.array(text),
      platform: fc.record({ architecture: text, os: text, variant: text, 'os.features': fc.array(text) }),
    })
    fc.assert(
      fc.property(odd, odd, (layerOdd, top) => {
        const { record } = build({
          config,
          layers: [{ ...layer, ...layerOdd }],
          annotations: top.annotations,
        })
        expect(isValid(JSON.parse(JSON.stringify(record)))).toBe(true)
      }),
    )
  })
})

describe('a record that others wrote', () => {
  const legacy = {
    $type: 'io.atcr.manifest',
    repository: 'app',
    digest,
    mediaType: ociManifest,
    schemaVersion: 2,
    holdEndpoint: 'https://hold.example.com',
    config,
    layers: [layer],
    createdAt: '2025-01-01T00:00:00+02:00',
  }

  test('with an endpoint in place of a hold DID, and without a blob', () => {
    const record = parseManifestRecord(legacy)
    expect(record.holdEndpoint).toBe('https://hold.example.com')
    expect(record.holdDid).toBeUndefined()
    expect(record.manifestBlob).toBeUndefined()
    expect(record.createdAt).toBe('2024-12-31T22:00:00.000Z')
    expect(record.repositories).toEqual(['app'])
  })

  test('with a list of repositories that lacks the first', () => {
    expect(parseManifestRecord({ ...legacy, repositories: ['other'] }).repositories).toEqual(['app', 'other'])
  })

  test('with fields and annotations that we do not know', () => {
    const record = parseManifestRecord({ ...legacy, x: { y: [1] }, annotations: { a: 'b', c: 1 } })
    expect(record.annotations).toEqual({ a: 'b' })
  })

  test('without $type, as a CAR reader may hand it over', () => {
    const { $type: _, ...rest } = { ...legacy, manifestBlob }
    expect(parseManifestRecord(jsonToLex(rest)).manifestBlob?.cid).toBe(manifestBlob.ref.$link)
  })

  let deep: unknown = 1
  for (let level = 0; level < 20_000; level += 1) deep = [deep]

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a list', [legacy]],
    ['a text', 'io.atcr.manifest'],
    ['another type', { ...legacy, $type: 'io.atcr.tag' }],
    ['no digest', { ...legacy, digest: undefined }],
    ['a digest that is none', { ...legacy, digest: 'sha256:abc' }],
    ['a repository that is none', { ...legacy, repository: '../x' }],
    ['a further repository that is none', { ...legacy, repositories: ['App'] }],
    ['a layer without a valid digest', { ...legacy, layers: [{ ...layer, digest: 'x' }] }],
    ['a size that is no whole number', { ...legacy, layers: [{ ...layer, size: 1.5 }] }],
    ['a hold that is no DID', { ...legacy, holdDid: 'hold.example.com' }],
    ['a time that is none', { ...legacy, createdAt: 'yesterday' }],
    ['a time that does not exist', { ...legacy, createdAt: '2025-13-41T00:00:00Z' }],
    ['a blob that is none', { ...legacy, manifestBlob: { $type: 'blob', ref: 'x' } }],
    ['a prototype', JSON.parse('{"__proto__":{"repository":"app"}}')],
    ['deep nesting', { ...legacy, deep }],
  ])('%s is refused', (_, value) => {
    expect(() => parseManifestRecord(value)).toThrow(RecordError)
  })
})
