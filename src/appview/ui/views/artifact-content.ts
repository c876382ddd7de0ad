import { cleanText } from '../../../lib/format.ts'
import type { Digest } from '../../../protocol/oci/digest.ts'
import type { ManifestLink } from '../../db/manifests.ts'
import { labelOfLayer } from './artifact-labels.ts'
import {
  cutList,
  looseList,
  looseObject,
  looseText,
  parseLooseObject,
  type Cut,
  type LooseObject,
  type NamedText,
} from './loose-json.ts'

/** A file of an artifact. */
export interface FileView {
  digest: Digest
  /** Its title; undefined where the manifest gives none. */
  title: string | undefined
  label: string
  mediaType: string
  sizeBytes: number
}

const fileCountMax = 100
const factCountMax = 24
const textLengthMax = 300

/** What an artifact carries (image spec: `org.opencontainers.image.title`, as oras and others use it). */
export function viewFiles(links: readonly ManifestLink[]): Cut<FileView> {
  const files = links.filter((link) => link.kind === 'layer')
  const { items, moreCount } = cutList(files, fileCountMax)
  return { items: items.map(viewFile), moreCount }
}

function viewFile(link: ManifestLink): FileView {
  const title =
    link.annotations?.['org.opencontainers.image.title'] ??
    // CNCF's model format names files so.
    link.annotations?.['org.cncf.model.filepath']
  return {
    digest: link.targetDigest,
    title: title === undefined ? undefined : looseText(title, 200),
    label: labelOfLayer(link),
    mediaType: cleanText(link.mediaType, 120),
    sizeBytes: link.sizeBytes,
  }
}

/** What a chart's config says: its `Chart.yaml`, as JSON (Helm, "OCI: config"). */
export interface ChartView {
  facts: NamedText[]
  description: string | undefined
  dependencies: Cut<{ name: string; version: string | undefined; repository: string | undefined }>
}

/** Undefined when the bytes are no JSON object. */
export function readChart(bytes: Uint8Array): ChartView | undefined {
  const body = parseLooseObject(bytes)
  if (body === undefined) return undefined
  const facts = chartFacts.flatMap(([key, name]) => {
    const text = looseText(body[key], textLengthMax)
    return text === undefined ? [] : [{ name, text }]
  })
  const maintainers = namesOf(body['maintainers'])
  const dependencies = looseList(body['dependencies']).flatMap((value) => {
    const dependency = looseObject(value)
    const name = looseText(dependency?.['name'], 120)
    if (dependency === undefined || name === undefined) return []
    const version = looseText(dependency['version'], 60)
    return [{ name, version, repository: looseText(dependency['repository'], 200) }]
  })
  return {
    facts: maintainers === '' ? facts : [...facts, { name: 'Maintainers', text: maintainers }],
    description: looseText(body['description'], textLengthMax),
    dependencies: cutList(dependencies, 40),
  }
}

const chartFacts = [
  ['name', 'Chart'],
  ['version', 'Version'],
  ['appVersion', 'Version of the app'],
  ['type', 'Type'],
  ['kubeVersion', 'Kubernetes'],
  ['home', 'Home'],
  ['apiVersion', 'API version'],
  ['deprecated', 'Deprecated'],
] as const

function namesOf(value: unknown): string {
  const names = looseList(value).flatMap((item) => looseText(looseObject(item)?.['name'], 80) ?? [])
  return cleanText(names.slice(0, 10).join(', '), textLengthMax)
}

/** The plain values of any other config, two levels deep: what WebAssembly and models say of themselves. */
export function readFacts(bytes: Uint8Array): Cut<NamedText> {
  const body = parseLooseObject(bytes) ?? {}
  return cutList(factsOf(body, '', 1), factCountMax)
}

function factsOf(body: LooseObject, prefix: string, depth: number): NamedText[] {
  return Object.entries(body)
    .slice(0, factCountMax * 2)
    .flatMap(([key, value]) => {
      const name = cleanText(`${prefix}${key.slice(0, 80)}`, 100)
      const inner = looseObject(value)
      if (inner !== undefined) return depth === 0 ? [] : factsOf(inner, `${name}.`, depth - 1)
      const text = Array.isArray(value)
        ? looseText(looseList(value).slice(0, 50).flatMap((item) => looseText(item, 80) ?? []).join(', '), textLengthMax) // prettier-ignore
        : looseText(value, textLengthMax)
      return text === undefined ? [] : [{ name, text }]
    })
}
