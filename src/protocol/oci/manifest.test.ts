import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { digestOfBytes } from './digest.ts'
import { OciError } from './errors.ts'
import { manifestSizeBytesMax, manifestTargets, parseManifest } from './manifest.ts'
import { manifestMediaTypes } from './media-types.ts'

const { ociManifest, ociIndex, dockerManifest, dockerList } = manifestMediaTypes
const bytes = (text: string) => new TextEncoder().encode(text)
const digest = digestOfBytes(bytes('x'))
const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest, size: 1 }
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 10 }
const image = { schemaVersion: 2, mediaType: ociManifest, config, layers: [layer] }
const index = {
  schemaVersion: 2,
  mediaType: ociIndex,
  manifests: [{ mediaType: ociManifest, digest, size: 5 }],
}

const parse = (value: unknown, contentType: string | undefined = ociManifest) =>
  parseManifest(bytes(typeof value === 'string' ? value : JSON.stringify(value)), contentType)

describe('what is read', () => {
  test('an image manifest', () => {
    const manifest = parse({ ...image, annotations: { a: 'b' }, unknown: { kept: 'in the bytes' } })
    expect(manifest).toEqual({
      mediaType: ociManifest,
      schemaVersion: 2,
      isIndex: false,
      artifactType: config.mediaType,
      config: { mediaType: config.mediaType, digest, sizeBytes: 1 },
      layers: [{ mediaType: layer.mediaType, digest, sizeBytes: 10 }],
      manifests: [],
      annotations: { a: 'b' },
    })
    expect(manifestTargets(manifest).map(({ sizeBytes }) => sizeBytes)).toEqual([1, 10])
  })

  test('an index with platforms and an artifact type', () => {
    const platform = {
      architecture: 'arm64',
      os: 'linux',
      variant: 'v8',
      'os.version': '1',
      'os.features': ['x'],
    }
    const manifest = parse(
      { ...index, artifactType: 'application/x', manifests: [{ ...index.manifests[0], platform }] },
      ociIndex,
    )
    expect(manifest.isIndex).toBe(true)
    expect(manifest.artifactType).toBe('application/x')
    expect(manifest.manifests[0]?.platform).toEqual({
      architecture: 'arm64',
      os: 'linux',
      variant: 'v8',
      osVersion: '1',
      osFeatures: ['x'],
    })
  })

  test.each([
    ['Docker schema 2', { ...image, mediaType: dockerManifest }, dockerManifest],
    ['a Docker manifest list', { ...index, mediaType: dockerList }, dockerList],
    ['an OCI image without its own mediaType', { ...image, mediaType: undefined }, ociManifest],
    ['an empty index', { ...index, manifests: [] }, ociIndex],
    ['an index whose list Go printed as null', { ...index, manifests: null }, ociIndex],
    ['an image without layers', { ...image, layers: [] }, ociManifest],
    [
      'null in place of absent fields',
      { ...image, subject: null, annotations: null, manifests: null },
      ociManifest,
    ],
    ['a Content-Type with parameters', image, `${ociManifest}; charset=utf-8`],
    ['a Content-Type in capitals', image, ociManifest.toUpperCase()],
    ['no Content-Type, but a mediaType', image, undefined],
  ])('%s', (_, value, contentType) => {
    const manifest = parseManifest(bytes(JSON.stringify(value)), contentType)
    expect(manifest.schemaVersion).toBe(2)
  })

  test('the artifact type named, before that of the config', () => {
    expect(parse({ ...image, artifactType: 'application/vnd.example' }).artifactType).toBe(
      'application/vnd.example',
    )
  })

  test('the subject', () => {
    const subject = { mediaType: ociManifest, digest, size: 3 }
    expect(parse({ ...image, subject }).subject).toEqual({ mediaType: ociManifest, digest, sizeBytes: 3 })
  })

  test('the same key in two different objects', () => {
    expect(parse({ ...image, layers: [layer, layer] }).layers).toHaveLength(2)
  })

  test('a manifest just below the limit', () => {
    expect(parse({ ...image, annotations: { a: 'x'.repeat(3_900_000) } }).layers).toHaveLength(1)
  })
})

const withLayer = (change: object) => ({ ...image, layers: [{ ...layer, ...change }] })
const text = JSON.stringify(image)

describe('what is refused', () => {
  test.each<[string, unknown]>([
    ['nothing at all', ''],
    ['spaces', '   '],
    ['no JSON', 'hello'],
    ['JSON cut short', text.slice(0, -1)],
    ['JSON and more', `${text}{}`],
    ['a string that does not end', '{"a'],
    ['a byte order mark', `\uFEFF${text}`],
    ['an array', [image]],
    ['null', null],
    ['a number', 5],
    ['no schemaVersion', { ...image, schemaVersion: undefined }],
    ['schemaVersion as text', { ...image, schemaVersion: '2' }],
    ['schemaVersion 2.0', text.replace('"schemaVersion":2', '"schemaVersion":2.0')],
    ['schema 1', { schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [] }],
    ['schema 1 in disguise', { ...image, fsLayers: [{ blobSum: digest }] }],
    ['another mediaType than Content-Type', { ...image, mediaType: dockerManifest }],
    ['a mediaType that is no text', { ...image, mediaType: 7 }],
    ['both manifests and layers', { ...image, manifests: index.manifests }],
    ['no config', { ...image, config: undefined }],
    ['no layers', { ...image, layers: undefined }],
    ['layers that are no list', { ...image, layers: { 0: layer } }],
    ['a layer that is null', { ...image, layers: [null] }],
    ['a duplicate key', text.replace('{', '{"schemaVersion":2,')],
    ['a duplicate key in a layer', text.replace('"size":10', '"size":10,"size":11')],
    ['a duplicate key spelled otherwise', text.replace('"size":10', String.raw`"size":10,"\u0073ize":11`)],
    ['a duplicate key in a field we do not know', text.replace('{', '{"x":[{"y":1,"y":2}],')],
    ['a negative size', withLayer({ size: -1 })],
    ['a size of 1.5', withLayer({ size: 1.5 })],
    ['a size of 1.0', text.replace('"size":10', '"size":1.0')],
    ['a size of 1e3', text.replace('"size":10', '"size":1e3')],
    ['a size beyond what numbers hold', text.replace('"size":10', '"size":99999999999999999999')],
    ['a size as text', withLayer({ size: '10' })],
    ['no size', withLayer({ size: undefined })],
    ['a short digest', withLayer({ digest: 'sha256:abc' })],
    ['a digest in capitals', withLayer({ digest: digest.toUpperCase() })],
    ['an unknown digest algorithm', withLayer({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' })],
    ['no digest', withLayer({ digest: undefined })],
    ['no media type of a layer', withLayer({ mediaType: '' })],
    ['a media type with a line break', withLayer({ mediaType: 'a/b\r\nX: y' })],
    ['an annotation that is no text', { ...image, annotations: { a: 1 } }],
    ['annotations as a list', { ...image, annotations: ['a'] }],
    ['a subject that is no descriptor', { ...image, subject: 'sha256:abc' }],
    ['urls that are no list', withLayer({ urls: 'https://example.com' })],
    ['a platform that is no object', { ...image, config: { ...config, platform: 'linux' } }],
    ['an artifactType that is no text', { ...image, artifactType: {} }],
    ['deep arrays', '['.repeat(2_000_000)],
    ['deep objects', '{"a":'.repeat(500_000)],
    ['deep JSON within a field', text.replace('{', `{"x":${'['.repeat(100)}${']'.repeat(100)},`)],
    ['a deep closing', ']'.repeat(1_000_000)],
    ['quotes and nothing else', '"'.repeat(1_000_000)],
    ['backslashes', `{"${'\\'.repeat(1_000_000)}`],
  ])('%s', (_, value) => {
    expect(() => parse(value)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID', status: 400 }))
  })

  test.each([
    ['an index with layers', { ...index, layers: [layer] }],
    ['an index with a config', { ...index, config }],
    ['an index without manifests', { ...index, manifests: undefined }],
  ])('%s', (_, value) => {
    expect(() => parse(value, ociIndex)).toThrow(expect.objectContaining({ code: 'MANIFEST_INVALID' }))
  })

  test.each([
    'application/json',
    'text/html',
    'application/vnd.oci.artifact.manifest.v1+json',
    'nonsense',
    'a/b\0',
  ])('Content-Type %j', (contentType) => {
    expect(() => parse({ ...image, mediaType: undefined }, contentType)).toThrow(OciError)
  })

  test('a manifest without any type', () => {
    expect(() => parseManifest(bytes(JSON.stringify({ ...image, mediaType: undefined })), undefined)).toThrow(
      /neither/,
    )
  })

  test('bytes that are not UTF-8', () => {
    const broken = bytes(JSON.stringify({ ...image, annotations: { a: 'é' } }))
    broken[broken.indexOf(0xc3) + 1] = 0x20
    expect(() => parseManifest(broken, ociManifest)).toThrow(/UTF-8/)
  })

  test('a manifest over the limit, with 413', () => {
    const large = new Uint8Array(manifestSizeBytesMax + 1)
    expect(() => parseManifest(large, ociManifest)).toThrow(expect.objectContaining({ status: 413 }))
  })
})

describe('whatever comes', () => {
  const orOciError = (run: () => unknown) => {
    try {
      run()
    } catch (error) {
      expect(error).toBeInstanceOf(OciError)
    }
  }

  test('bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (any) =>
        orOciError(() => parseManifest(any, ociManifest)),
      ),
    )
  })

  test('JSON', () => {
    fc.assert(fc.property(fc.json(), (json) => orOciError(() => parse(json, ociIndex))))
  })

  test('a manifest with one field replaced', () => {
    const field = fc.constantFrom(
      'schemaVersion',
      'mediaType',
      'config',
      'layers',
      'manifests',
      'subject',
      'annotations',
    )
    fc.assert(
      fc.property(field, fc.jsonValue(), (key, value) => orOciError(() => parse({ ...image, [key]: value }))),
    )
  })

  test('a manifest with one character replaced', () => {
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (at, replacement) =>
        orOciError(() => parse(text.slice(0, at) + replacement + text.slice(at + 1))),
      ),
    )
  })
})
