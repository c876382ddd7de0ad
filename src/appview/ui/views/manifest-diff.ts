import { isDigest, type Digest } from '../../../protocol/oci/digest.ts'
import { isTag } from '../../../protocol/oci/reference.ts'
import { cleanText } from '../../../lib/format.ts'
import { findShownTag, isManifestShown, listShownTags } from '../../db/listings.ts'
import type { ManifestLink } from '../../db/manifests.ts'
import type { BuildStep } from './build-history.ts'
import { changedList, changedTexts, cutChanges, type ListChange, type TextChange } from './changes.ts'
import type { ImageConfig } from './image-config.ts'
import type { ChildView } from './index-children.ts'
import { cutList, looseMap, type Cut, type NamedText } from './loose-json.ts'
import {
  findContent,
  manifestPath,
  tagPath,
  whatItIs,
  type ConfigProblem,
  type FoundContent,
  type ManifestPageNeeds,
} from './manifest-page.ts'
import type { OwnerView } from './owner.ts'
import type { ShownRepository } from './shown-repository.ts'

/** One side of a comparison: what was asked for, and what it names. */
export interface DiffSide {
  /** As it was typed; empty when nothing was. */
  text: string
  /** Undefined when it names nothing that may be seen. */
  found: { digest: Digest; path: string; what: string; sizeBytes: number } | undefined
}

export interface BlobView {
  digest: Digest
  sizeBytes: number
  /** The step that made it, or its title. */
  label: string | undefined
}

export interface PlatformChange {
  name: string
  from: { digest: Digest; sizeBytes: number } | undefined
  to: { digest: Digest; sizeBytes: number } | undefined
  /** The comparison of the two, where both are here and differ. */
  diffPath: string | undefined
}

export interface ManifestDifference {
  /** Layers or files; undefined where a side lists manifests. */
  layers:
    | {
        removed: Cut<BlobView>
        added: Cut<BlobView>
        keptCount: number
        keptBytes: number
        addedBytes: number
      }
    | undefined
  /** Platforms, where both sides list them. */
  platforms: PlatformChange[] | undefined
  /** Where one side lists manifests and the other is one: which of them to compare with. */
  choices: { name: string; path: string }[]
  settings: Cut<TextChange>
  annotations: Cut<TextChange>
  steps: { removed: Cut<string>; added: Cut<string> }
  /** Why settings and steps are not compared. */
  problem: ConfigProblem | undefined
}

export interface ManifestDiffView {
  owner: OwnerView
  name: string
  repositoryPath: string
  path: string
  from: DiffSide
  to: DiffSide
  /** Tags to choose from. */
  tags: string[]
  /** Undefined while a side is missing. */
  difference: ManifestDifference | undefined
}

const tagCountMax = 60
const blobCountMax = 60
const stepCountMax = 40
const textLengthMax = 300

/** What changed between two manifests of a repository, each named by a tag or a digest. */
export async function viewManifestDiff(
  needs: ManifestPageNeeds,
  shown: ShownRepository,
  texts: { from: string; to: string },
): Promise<ManifestDiffView> {
  const { db, viewer } = needs
  const { key, owner, path: repositoryPath } = shown
  const from = await findSide(needs, shown, texts.from)
  const to = await findSide(needs, shown, texts.to)
  const tags = await listShownTags(db, key, { limit: tagCountMax, viewer })
  return {
    owner,
    name: key.name,
    repositoryPath,
    path: `${repositoryPath}/-/diff`,
    from: from.side,
    to: to.side,
    tags: tags.map(({ tag }) => tag),
    difference: from.content && to.content && compare(repositoryPath, from.content, to.content),
  }
}

async function findSide(
  needs: ManifestPageNeeds,
  shown: ShownRepository,
  typed: string,
): Promise<{ side: DiffSide; content: FoundContent | undefined }> {
  const { db, viewer } = needs
  const { key, path } = shown
  const text = typed.trim()
  const missing = { side: { text: cleanText(text, 140), found: undefined }, content: undefined }
  const tag = isTag(text) ? await findShownTag(db, key, { tag: text, viewer }) : undefined
  const digest = tag?.digest ?? (isDigest(text) ? text : undefined)
  if (digest === undefined || !(await isManifestShown(db, key, { digest, viewer }))) return missing
  const content = await findContent(needs, shown, digest)
  if (content === undefined) return missing
  const found = {
    digest,
    path: tag === undefined ? manifestPath(path, digest) : tagPath(path, tag.tag),
    what: whatItIs(content.manifest, content.content),
    sizeBytes: content.manifest.sizeBytes,
  }
  return { side: { text, found }, content }
}

const diffPath = (repositoryPath: string, from: string, to: string) =>
  `${repositoryPath}/-/diff?from=${from}&to=${to}`

function compare(repositoryPath: string, from: FoundContent, to: FoundContent): ManifestDifference {
  const [before, after] = [from.content, to.content]
  const [old, young] = [configOf(from), configOf(to)]
  const isRead = old !== undefined && young !== undefined
  const steps = changedList(isRead ? stepsOf(from) : [], isRead ? stepsOf(to) : [], (step) => step)
  return {
    layers: before.kind === 'index' || after.kind === 'index' ? undefined : compareLayers(from, to),
    platforms:
      before.kind === 'index' && after.kind === 'index'
        ? comparePlatforms(repositoryPath, before.children.items, after.children.items)
        : undefined,
    choices: choicesOf(repositoryPath, from, to),
    settings: cutChanges(isRead ? changedTexts(settingsOf(old), settingsOf(young)) : []),
    annotations: cutChanges(changedTexts(annotationsOf(from), annotationsOf(to))),
    steps: {
      removed: cutList(steps.removed, stepCountMax),
      added: cutList(steps.added, stepCountMax),
    },
    problem: problemOf(from) ?? problemOf(to),
  }
}

const configOf = ({ content }: FoundContent): ImageConfig | undefined =>
  content.kind === 'image' ? content.config : undefined

const problemOf = ({ content }: FoundContent): ConfigProblem | undefined =>
  content.kind === 'index' ? undefined : content.problem

const annotationsOf = ({ row }: FoundContent): NamedText[] => looseMap(row.annotations, textLengthMax, 400)

function compareLayers(from: FoundContent, to: FoundContent): ManifestDifference['layers'] {
  const layersOf = ({ links }: FoundContent) => links.filter((link) => link.kind === 'layer')
  const { added, kept, removed }: ListChange<ManifestLink> = changedList(
    layersOf(from),
    layersOf(to),
    (link) => link.targetDigest,
  )
  const sum = (links: readonly ManifestLink[]) => links.reduce((total, link) => total + link.sizeBytes, 0)
  const view = (links: readonly ManifestLink[], labels: ReadonlyMap<Digest, string>): Cut<BlobView> => {
    const { items, moreCount } = cutList(links, blobCountMax)
    return {
      items: items.map(({ sizeBytes, targetDigest }) => ({
        digest: targetDigest,
        sizeBytes,
        label: labels.get(targetDigest),
      })),
      moreCount,
    }
  }
  return {
    removed: view(removed, blobLabels(from)),
    added: view(added, blobLabels(to)),
    keptCount: kept.length,
    keptBytes: sum(kept),
    addedBytes: sum(added),
  }
}

/** What made a layer, or what a file is called. */
function blobLabels({ content }: FoundContent): Map<Digest, string> {
  if (content.kind === 'index') return new Map()
  if (content.kind !== 'image')
    return new Map(content.files.items.map(({ digest, label, title }) => [digest, title ?? label]))
  return new Map(
    content.history.steps.flatMap((step) => {
      const text = stepText(step)
      return step.layer === undefined || text === undefined ? [] : [[step.layer.digest, text] as const]
    }),
  )
}

const stepsOf = ({ content }: FoundContent): string[] =>
  content.kind === 'image' ? content.history.steps.flatMap((step) => stepText(step) ?? []) : []

function stepText({ command }: BuildStep): string | undefined {
  if (command === undefined) return undefined
  const { instruction, lines } = command
  return cleanText([...(instruction === undefined ? [] : [instruction]), ...lines].join(' '), textLengthMax)
}

function settingsOf(config: ImageConfig): NamedText[] {
  const one = (name: string, text: string | undefined): NamedText[] =>
    text === undefined ? [] : [{ name, text }]
  return [
    ...one('Platform', config.platform),
    ...one('Entrypoint', config.entrypoint),
    ...one('Command', config.cmd),
    ...one('User', config.user),
    ...one('Working directory', config.workdir),
    ...one('Ports', config.ports.items.join(', ') || undefined),
    ...one('Volumes', config.volumes.items.join(', ') || undefined),
    ...one('Health check', config.healthcheck),
    ...one('Stop signal', config.stopSignal),
    ...config.env.items.map(({ name, text }) => ({ name: `ENV ${name}`, text })),
    ...config.labels.map(({ name, text }) => ({ name: `LABEL ${name}`, text })),
  ]
}

/** Each platform once; attestations are no platforms. */
function comparePlatforms(
  repositoryPath: string,
  from: readonly ChildView[],
  to: readonly ChildView[],
): PlatformChange[] {
  const before = new Map(from.map((child) => [child.name, child]))
  const after = new Map(to.map((child) => [child.name, child]))
  return [...new Set([...before.keys(), ...after.keys()])].map((name) => {
    const [old, young] = [before.get(name), after.get(name)]
    const isBoth = old?.path !== undefined && young?.path !== undefined && old.digest !== young.digest
    return {
      name,
      from: old && { digest: old.digest, sizeBytes: old.sizeBytes },
      to: young && { digest: young.digest, sizeBytes: young.sizeBytes },
      diffPath: isBoth ? diffPath(repositoryPath, old.digest, young.digest) : undefined,
    }
  })
}

function choicesOf(
  repositoryPath: string,
  from: FoundContent,
  to: FoundContent,
): ManifestDifference['choices'] {
  const choose = (children: readonly ChildView[], pathOf: (digest: Digest) => string) =>
    children
      .filter((child) => child.path !== undefined)
      .map(({ digest, name }) => ({ name, path: pathOf(digest) }))
  if (from.content.kind === 'index' && to.content.kind !== 'index')
    return choose(from.content.children.items, (digest) => diffPath(repositoryPath, digest, to.row.digest))
  if (from.content.kind !== 'index' && to.content.kind === 'index')
    return choose(to.content.children.items, (digest) => diffPath(repositoryPath, from.row.digest, digest))
  return []
}
