import { cleanText } from '../../../lib/format.ts'

/** Reading JSON of strangers where nothing has to be right: what has not the expected type is not there. */
export type LooseObject = Readonly<Record<string, unknown>>

/** As much of a list as is shown, and how many more there are. */
export interface Cut<T> {
  items: T[]
  moreCount: number
}

/** A name with what it stands for. */
export interface NamedText {
  name: string
  text: string
}

export function parseLooseObject(bytes: Uint8Array): LooseObject | undefined {
  try {
    return looseObject(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)))
  } catch {
    return undefined
  }
}

export function looseObject(value: unknown): LooseObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as LooseObject)
    : undefined
}

export function looseList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : []
}

/** A text on one line, cut; undefined when there is none or it is blank. */
export function looseText(value: unknown, lengthMax: number): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'string') return undefined
  // What is cut anyway is not looked at either.
  const text = cleanText(value.slice(0, lengthMax * 4), lengthMax)
  return text === '' ? undefined : text
}

/** The texts of a list. */
export function looseTexts(value: unknown, lengthMax: number): string[] {
  return looseList(value).flatMap((item) => looseText(item, lengthMax) ?? [])
}

/** A map of texts by name, as it comes; what is beyond `countMax` is not looked at. */
export function looseMap(value: unknown, lengthMax: number, countMax: number): NamedText[] {
  const entries = Object.entries(looseObject(value) ?? {}).slice(0, countMax)
  return entries.flatMap(([key, item]) => {
    const name = cleanText(key.slice(0, lengthMax), nameLengthMax)
    const text = looseText(item, lengthMax)
    return name === '' || text === undefined ? [] : [{ name, text }]
  })
}

const nameLengthMax = 128

/** A time in RFC 3339; undefined when it is none, or the zero that reproducible builds write. */
export function looseTime(value: unknown): Date | undefined {
  if (typeof value !== 'string' || value.length > 40 || !/^\d{4}-\d\d-\d\dT/.test(value)) return undefined
  const time = new Date(value)
  return Number.isNaN(time.getTime()) || time.getTime() <= 0 ? undefined : time
}

export function cutList<T>(items: readonly T[], countMax: number): Cut<T> {
  return { items: items.slice(0, countMax), moreCount: Math.max(0, items.length - countMax) }
}

/** How long a text is in HTML: strangers choose what has to be escaped. */
export function escapedLength(text: string): number {
  return text.length + (text.match(/[&<>"']/g)?.length ?? 0) * 5
}

/** As many of the names as fit into `countMax` lines and `lengthMax` characters of a page; one at least. */
export function cutNamed(
  texts: readonly NamedText[],
  { countMax, lengthMax }: { countMax: number; lengthMax: number },
): Cut<NamedText> {
  let left = lengthMax
  const fitting = texts.findIndex(({ name, text }, index) => {
    left -= escapedLength(name) + escapedLength(text)
    return index > 0 && left < 0
  })
  return cutList(texts, Math.min(countMax, fitting < 0 ? texts.length : fitting))
}
