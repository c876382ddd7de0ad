import type { Digest } from '../../../protocol/oci/digest.ts'
import type { ManifestLink } from '../../db/manifests.ts'
import type { HistoryEntry } from './image-config.ts'
import { escapedLength } from './loose-json.ts'

/** A command of a Dockerfile, or whatever else the builder wrote down. */
export interface Command {
  /** `RUN`, `COPY`; undefined where a builder does not speak Dockerfile. */
  instruction: string | undefined
  /** What follows it, one line for each part of a long chain. */
  lines: string[]
}

/** A step of the build, with the layer it made. */
export interface BuildStep {
  command: Command | undefined
  layer: LayerView | undefined
}

export interface LayerView {
  digest: Digest
  mediaType: string
  sizeBytes: number
  /** Of all layers' bytes, 0 to 100. */
  percent: number
}

export interface BuildHistory {
  steps: BuildStep[]
  /** Steps that are not listed. */
  moreCount: number
  /** The config's history does not fit the layers, so that it is not known which step made which. */
  isUnmatched: boolean
}

const stepCountMax = 80
/** All commands together, so that a page stays a page. */
const textLengthMax = 14_000
/** What remains of those that do not fit. */
const lineLengthMin = 32

/** Puts the layers of an image beside the steps that made them. */
export function buildHistory(
  layers: readonly ManifestLink[],
  history: readonly HistoryEntry[] | undefined,
): BuildHistory {
  const total = layers.reduce((sum, layer) => sum + layer.sizeBytes, 0)
  const views = layers.map((layer) => layerView(layer, total))
  const makers = history?.filter((entry) => !entry.isEmpty) ?? []
  const isMatched = makers.length === layers.length
  const isUnmatched = !isMatched && makers.length > 0
  const steps =
    history === undefined || !isMatched
      ? views.map((layer) => ({ command: undefined, layer }))
      : pair(views, history)
  const shown = steps.slice(0, stepCountMax)
  return { steps: cutTexts(shown), moreCount: steps.length - shown.length, isUnmatched }
}

/** The `percent` that a layer takes of all. */
function layerView(layer: ManifestLink, totalBytes: number): LayerView {
  const { mediaType, sizeBytes, targetDigest } = layer
  return {
    digest: targetDigest,
    mediaType,
    sizeBytes,
    percent: totalBytes === 0 ? 0 : (sizeBytes / totalBytes) * 100,
  }
}

function pair(layers: readonly LayerView[], history: readonly HistoryEntry[]): BuildStep[] {
  const left = layers.values()
  return history.map((entry) => ({
    command: readCommand(entry.command, entry.comment),
    layer: entry.isEmpty ? undefined : left.next().value,
  }))
}

function cutTexts(steps: readonly BuildStep[]): BuildStep[] {
  let left = textLengthMax
  return steps.map(({ command, layer }) => {
    if (command === undefined) return { command, layer }
    const text = command.lines.join('\n')
    left -= escapedLength(text)
    const cut = left >= 0 || text.length <= lineLengthMin ? text : `${text.slice(0, lineLengthMin - 1)}…`
    return { command: { ...command, lines: cut.split('\n') }, layer }
  })
}

const instructions =
  'ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|EXPOSE|FROM|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|RUN|SHELL|STOPSIGNAL|USER|VOLUME|WORKDIR'
const dockerfile = new RegExp(`^(?<instruction>${instructions})(?:\\s+(?<rest>.*))?$`, 's')
const chainLengthMin = 72

/**
 * `created_by` as it would stand in a Dockerfile. Docker's old builder writes `/bin/sh -c #(nop)  CMD …` for what runs
 * nothing and `/bin/sh -c …` for the rest, with build arguments as `|1 NAME=value` before; BuildKit writes
 * `RUN /bin/sh -c … # buildkit`.
 */
export function readCommand(createdBy: string, comment: string | undefined): Command | undefined {
  const text = createdBy.replace(/\s*# buildkit$/, '').trim()
  if (text === '') return comment === undefined ? undefined : { instruction: undefined, lines: [comment] }
  const noOperation = /^(?:\/bin\/sh -c|cmd \/S \/C|powershell [^#]*)\s*#\(nop\)\s*(?<rest>.*)$/s.exec(text)
  const rest = noOperation?.groups?.['rest'] ?? withoutShell(text)
  const { instruction, rest: words = '' } = dockerfile.exec(rest)?.groups ?? {}
  if (instruction === undefined) return { instruction: undefined, lines: [rest] }
  // Docker's old builder names copied files by a hash of 64 digits.
  const readable = words.replaceAll(/\b((?:file|dir|multi):[0-9a-f]{12})[0-9a-f]{52}\b/g, '$1…')
  return { instruction, lines: instruction === 'RUN' ? chain(readable) : [readable] }
}

function withoutShell(text: string): string {
  const shell = /^(?:RUN\s+)?(?:\|\d+ .*?)?(?:\/bin\/(?:ba|a|da)?sh -[a-z]*c|cmd \/S \/C)\s+(?<rest>.*)$/s
  const rest = shell.exec(text)?.groups?.['rest']
  return rest === undefined ? text : `RUN ${rest}`
}

/** A long chain reads better with a line for each part. */
function chain(text: string): string[] {
  return text.length < chainLengthMin ? [text] : text.split(/\s+(?=&& |\|\| )/)
}
