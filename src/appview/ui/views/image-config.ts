import {
  cutList,
  cutNamed,
  looseList,
  looseMap,
  looseObject,
  looseText,
  looseTexts,
  looseTime,
  parseLooseObject,
  type Cut,
  type LooseObject,
  type NamedText,
} from './loose-json.ts'

/** A step of an image's history, as the config tells it (image spec: config, "history"). */
export interface HistoryEntry {
  command: string
  comment: string | undefined
  createdAt: Date | undefined
  /** It made no layer. */
  isEmpty: boolean
}

/** What an image's config says, cleaned and cut for a page. */
export interface ImageConfig {
  createdAt: Date | undefined
  author: string | undefined
  /** `linux/arm64/v8`, and the version of an operating system that has one. */
  platform: string | undefined
  entrypoint: string | undefined
  cmd: string | undefined
  user: string | undefined
  workdir: string | undefined
  stopSignal: string | undefined
  healthcheck: string | undefined
  env: Cut<NamedText>
  ports: Cut<string>
  volumes: Cut<string>
  labels: NamedText[]
  history: HistoryEntry[]
}

const textLengthMax = 300
const commandLengthMax = 1_000
const listCountMax = 40
const listLengthMax = 7_000
const labelCountMax = 200
const historyCountMax = 2_000
/** Steps whose commands are read; of the rest only whether they made a layer. */
const readCountMax = 200

/** Undefined when the bytes are no JSON object. Whatever is of another type than it should be is left out. */
export function readImageConfig(bytes: Uint8Array): ImageConfig | undefined {
  const body = parseLooseObject(bytes)
  if (body === undefined) return undefined
  const run = looseObject(body['config']) ?? {}
  return {
    createdAt: looseTime(body['created']),
    author: looseText(body['author'], textLengthMax),
    platform: platformOf(body),
    entrypoint: commandOf(run['Entrypoint']),
    cmd: commandOf(run['Cmd']),
    user: looseText(run['User'], textLengthMax),
    workdir: looseText(run['WorkingDir'], textLengthMax),
    stopSignal: looseText(run['StopSignal'], textLengthMax),
    healthcheck: healthcheckOf(looseObject(run['Healthcheck'])),
    env: variablesOf(looseList(run['Env'])),
    ports: cutTexts(keysOf(run['ExposedPorts'])),
    volumes: cutTexts(keysOf(run['Volumes'])),
    labels: looseMap(run['Labels'], textLengthMax, labelCountMax),
    history: looseList(body['history']).slice(0, historyCountMax).flatMap(historyEntry),
  }
}

function platformOf(body: LooseObject): string | undefined {
  const [os, architecture, variant, version] = ['os', 'architecture', 'variant', 'os.version'].map((key) =>
    looseText(body[key], 40),
  )
  if (os === undefined && architecture === undefined) return undefined
  const name = [os, architecture, variant].filter((part) => part !== undefined).join('/')
  return version === undefined ? name : `${name} ${version}`
}

/** `["nginx","-g","daemon off;"]`: as a Dockerfile spells it, so that arguments can be told apart. */
function commandOf(value: unknown): string | undefined {
  const words = looseTexts(value, textLengthMax)
  if (words.length === 0) return undefined
  return looseText(`[${words.map((word) => JSON.stringify(word)).join(', ')}]`, commandLengthMax)
}

/** `NAME=value`; without an equals sign the name alone. */
function variableOf(text: string): NamedText {
  const at = text.indexOf('=')
  return at < 0 ? { name: text, text: '' } : { name: text.slice(0, at), text: text.slice(at + 1) }
}

/** Times are nanoseconds (image spec: `config.Healthcheck`, by way of Docker). */
function healthcheckOf(value: LooseObject | undefined): string | undefined {
  const [kind, ...words] = looseTexts(value?.['Test'], textLengthMax)
  if (value === undefined || kind === undefined) return undefined
  if (kind === 'NONE') return 'none'
  const command = kind === 'CMD' || kind === 'CMD-SHELL' ? words.join(' ') : [kind, ...words].join(' ')
  const seconds = (name: string, key: string) => {
    const nanoseconds = value[key]
    return typeof nanoseconds === 'number' && nanoseconds > 0 ? [`${name} ${nanoseconds / 1e9} s`] : []
  }
  const details = [...seconds('every', 'Interval'), ...seconds('at most', 'Timeout')]
  return looseText(details.length === 0 ? command : `${command} (${details.join(', ')})`, commandLengthMax)
}

const keysOf = (value: unknown): string[] => Object.keys(looseObject(value) ?? {})

/** Cut first and cleaned then: a megabyte has room for very many. */
function cutTexts(values: readonly unknown[]): Cut<string> {
  const { items, moreCount } = cutList(values, listCountMax)
  return { items: looseTexts(items, textLengthMax), moreCount }
}

function variablesOf(values: readonly unknown[]): Cut<NamedText> {
  const { items, moreCount } = cutTexts(values)
  const cut = cutNamed(items.map(variableOf), { countMax: listCountMax, lengthMax: listLengthMax })
  return { items: cut.items, moreCount: cut.moreCount + moreCount }
}

function historyEntry(value: unknown, index: number): HistoryEntry[] {
  const entry = looseObject(value)
  if (entry === undefined) return []
  return [
    {
      command: index < readCountMax ? (looseText(entry['created_by'], commandLengthMax) ?? '') : '',
      comment: looseText(entry['comment'], 120),
      createdAt: looseTime(entry['created']),
      isEmpty: entry['empty_layer'] === true,
    },
  ]
}
