import { cutList, type Cut, type NamedText } from './loose-json.ts'

/** A name whose text is another; undefined where it has none. */
export interface TextChange {
  name: string
  from: string | undefined
  to: string | undefined
}

/** Names whose texts differ, in the order they come. */
export function changedTexts(from: readonly NamedText[], to: readonly NamedText[]): TextChange[] {
  const before = new Map(from.map(({ name, text }) => [name, text]))
  const after = new Map(to.map(({ name, text }) => [name, text]))
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((name) => ({ name, from: before.get(name), to: after.get(name) }))
    .filter((change) => change.from !== change.to)
}

/** What is in one list and not in the other, as often as it is; both in their order. */
export interface ListChange<T> {
  removed: T[]
  added: T[]
  kept: T[]
}

/** Compares two lists by a key, whatever the order. */
export function changedList<T>(
  from: readonly T[],
  to: readonly T[],
  keyOf: (item: T) => string,
): ListChange<T> {
  const left = new Map<string, number>()
  for (const item of to) left.set(keyOf(item), (left.get(keyOf(item)) ?? 0) + 1)
  const take = (item: T) => {
    const count = left.get(keyOf(item)) ?? 0
    left.set(keyOf(item), count - 1)
    return count > 0
  }
  const kept: T[] = []
  const removed: T[] = []
  for (const item of from) (take(item) ? kept : removed).push(item)
  const keptLeft = new Map<string, number>()
  for (const item of kept) keptLeft.set(keyOf(item), (keptLeft.get(keyOf(item)) ?? 0) + 1)
  const added = to.filter((item) => {
    const count = keptLeft.get(keyOf(item)) ?? 0
    keptLeft.set(keyOf(item), count - 1)
    return count <= 0
  })
  return { removed, added, kept }
}

/** As many changes as fit into a page. */
export function cutChanges(changes: readonly TextChange[]): Cut<TextChange> {
  return cutList(changes, changeCountMax)
}

const changeCountMax = 40
