import { createHash } from 'node:crypto'

import {
  blobOf,
  gzipLayerOf,
  manifestMediaType,
  manifestOf,
  type SampleBlob,
  type SampleManifest,
} from '../sample-image.ts'
import { baseStepsOf, recipes, type BuildStep, type RecipeName } from './recipes.ts'

/** A manifest with the blobs it needs. */
export interface DemoManifest extends SampleManifest {
  blobs: SampleBlob[]
}

export const emptyConfig = blobOf('{}')
export const emptyConfigType = 'application/vnd.oci.empty.v1+json'
export const configType = 'application/vnd.oci.image.config.v1+json'
export const descriptorOf = (mediaType: string, blob: { digest: string; sizeBytes: number }) => ({
  mediaType,
  digest: blob.digest,
  size: blob.sizeBytes,
})

/** Which image, and when it was built. */
export interface ImageOf {
  repository: string
  recipe: RecipeName
  version: string
  platform: string
  builtAt: Date
  about: string
}

/** An image with layers that unpack, a build history, environment and labels. */
export function demoImage(image: ImageOf): DemoManifest {
  const steps = [...baseStepsOf(image), ...recipes[image.recipe](image)]
  const layers = steps.flatMap((step) => (step.layer === undefined ? [] : [layerOf(step.layer)]))
  const config = blobOf(JSON.stringify(configOf(image, steps, layers.map((layer) => layer.diffId)))) // prettier-ignore
  const manifest = manifestOf({
    schemaVersion: 2,
    mediaType: manifestMediaType,
    config: descriptorOf(configType, config),
    layers: layers.map(({ blob }) => descriptorOf('application/vnd.oci.image.layer.v1.tar+gzip', blob)),
    annotations: annotationsOf(image),
  })
  return { ...manifest, blobs: [...layers.map((layer) => layer.blob), config] }
}

/** The annotations that image and index share. */
export function annotationsOf({ about, builtAt, repository, version }: Omit<ImageOf, 'platform' | 'recipe'>) {
  return {
    'org.opencontainers.image.created': builtAt.toISOString(),
    'org.opencontainers.image.description': about,
    'org.opencontainers.image.licenses': 'MIT',
    'org.opencontainers.image.source': sourceOf(repository),
    'org.opencontainers.image.title': repository.split('/').at(-1) ?? repository,
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.revision': revisionOf(repository, version),
  }
}

export const sourceOf = (repository: string) => `https://code.example/${repository}`
export const revisionOf = (repository: string, version: string) =>
  createHash('sha1').update(`${repository} ${version}`).digest('hex')

function configOf(image: ImageOf, steps: readonly BuildStep[], diffIds: readonly string[]) {
  const [os, architecture, variant] = image.platform.split('/')
  const settings = Object.assign({}, ...steps.map((step) => step.config ?? {})) as Record<string, unknown>
  const env = steps.flatMap((step) => step.env ?? [])
  const created = image.builtAt.toISOString()
  return {
    architecture,
    ...(variant !== undefined && { variant }),
    os,
    created,
    config: { Env: env, ...settings, Labels: annotationsOf(image) },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: steps.map((step) => ({
      created,
      created_by: step.createdBy,
      comment: 'buildkit.dockerfile.v0',
      ...(step.layer === undefined && { empty_layer: true }),
    })),
  }
}

/** Made once: base layers are in many images. */
const made = new Map<string, ReturnType<typeof gzipLayerOf>>()

function layerOf({ file, kilobytes, seed }: NonNullable<BuildStep['layer']>): ReturnType<typeof gzipLayerOf> {
  const key = `${seed} ${file} ${kilobytes}`
  const known = made.get(key)
  if (known !== undefined) return known
  // Of random bytes there is nothing to compress.
  const layer = gzipLayerOf({ [file]: noise(key, kilobytes * 1024) }, 0)
  made.set(key, layer)
  return layer
}

/** Bytes that follow from a seed and look like a compiled program to gzip. */
export function noise(seed: string, sizeBytes: number): Buffer {
  return createHash('shake256', { outputLength: sizeBytes }).update(seed).digest()
}
