/** Words of a document that are worth keeping. */
const wordCountMax = 200
/** Of a longer text only the beginning: putting accents in order takes time by the square of how many there are. */
const textLengthMax = 4000
/** A longer word is cut: nobody types that much. */
const wordLengthMax = 64

/** Scripts that put no space between words: every character is one. */
const unspaced = String.raw`\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}`
const words = new RegExp(String.raw`[${unspaced}]|(?:(?![${unspaced}])[\p{L}\p{N}])+`, 'gu')

/**
 * The words of a text, in its order and each once: letters and digits, without case and accents. Both databases are
 * given these and split nothing themselves, so that they find the same.
 */
export function wordsOf(text: string): string[] {
  // By way of capitals, so that `ß` is `ss`.
  const plain = text
    .slice(0, textLengthMax)
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .toUpperCase()
    .toLowerCase()
  const found = new Set<string>()
  for (const [word] of plain.matchAll(words)) {
    found.add(Array.from(word).slice(0, wordLengthMax).join(''))
    if (found.size >= wordCountMax) break
  }
  return [...found]
}

/**
 * A word as it stands in the index, in `[a-z0-9]` alone: no character of it means anything to a query, and prefixes
 * stay prefixes.
 */
export function tokenOf(word: string): string {
  return Array.from(word, (character) =>
    /[a-z0-9]/.test(character)
      ? character
      : `z${(character.codePointAt(0) ?? 0).toString(16).padStart(6, '0')}`,
  ).join('')
}

/** Three characters each, the ends of the word marked: what a word has in common with a misspelt one. */
export function trigramsOf(word: string): string[] {
  return inner(`$${word}$`)
}

/** The same without the ends: what a word has in common with one that contains it. */
export function innerTrigramsOf(word: string): string[] {
  return inner(word)
}

function inner(text: string): string[] {
  const characters = Array.from(text)
  const found = new Set<string>()
  for (let start = 0; start + 3 <= characters.length; start++) {
    found.add(characters.slice(start, start + 3).join(''))
  }
  return [...found]
}

/**
 * How many typing errors lie between two words: a letter wrong, missing, too many, or two changed places (optimal
 * string alignment). Anything above `max` may come back as `max + 1`.
 */
export function typingErrors(one: string, other: string, max: number): number {
  if (Math.abs(one.length - other.length) > max) return max + 1
  let beforeLast: number[] = []
  let last = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let row = 1; row <= one.length; row++) {
    const current = [row]
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1]
      let errors = Math.min(
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (isSame ? 0 : 1),
      )
      const isSwapped =
        row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      if (isSwapped) errors = Math.min(errors, at(beforeLast, column - 2) + 1)
      current.push(errors)
    }
    ;[beforeLast, last] = [last, current]
  }
  return Math.min(at(last, other.length), max + 1)
}

const at = (row: readonly number[], index: number): number => row[index] as number
