import type { Font } from './font.ts'

/** Of a text that has more than this share of characters the font lacks, too little would be left to read. */
const missingShareMax = 0.2
/** Kerning and rounding. */
const slack = 1.01

/** How wide a text is at `size` pixels an em, in pixels. */
export function widthOf(font: Font, text: string, size: number): number {
  let ems = 0
  for (const character of text) ems += font.widthOf(character.codePointAt(0) as number) ?? 1
  return ems * size * slack
}

/**
 * What the font can show of a text: single characters that it lacks, such as emoji, are left out; a text in a script
 * that it does not have is left out whole, rather than shown as boxes.
 */
export function showable(font: Font, text: string): string | undefined {
  const characters = Array.from(text.normalize('NFC'))
  const shown = characters.filter(
    (character) => font.widthOf(character.codePointAt(0) as number) !== undefined,
  )
  if (characters.length - shown.length > characters.length * missingShareMax) return undefined
  const line = shown.join('').replaceAll(/\s+/gu, ' ').trim()
  return line === '' ? undefined : line
}

/** Breaks a text into lines of at most `width` pixels; what does not fit into `lineCountMax` of them ends in `…`. */
export function wrap(
  font: Font,
  text: string,
  { width, size, lineCountMax }: { width: number; size: number; lineCountMax: number },
): string[] {
  const lines: string[] = []
  let rest = text.trim()
  while (rest !== '' && lines.length < lineCountMax) {
    const fitting = fittingLength(font, rest, { width, size })
    const isLast = lines.length === lineCountMax - 1
    if (fitting === rest.length) return [...lines, rest]
    if (isLast) return [...lines, cut(font, rest, { width, size })]
    const end = breakBefore(rest, fitting)
    lines.push(rest.slice(0, end).trimEnd())
    rest = rest.slice(end).trimStart()
  }
  return lines
}

/** A text on one line, cut with `…` where it is too long. */
export function cut(font: Font, text: string, { width, size }: { width: number; size: number }): string {
  if (fittingLength(font, text, { width, size }) === text.length) return text
  const room = width - widthOf(font, '…', size)
  return `${text.slice(0, fittingLength(font, text, { width: room, size })).trimEnd()}…`
}

/** How much of a text fits, in UTF-16 units; never within a character, and at least one. */
function fittingLength(font: Font, text: string, { width, size }: { width: number; size: number }): number {
  let used = 0
  let length = 0
  for (const character of text) {
    used += widthOf(font, character, size)
    if (used > width && length > 0) return length
    length += character.length
  }
  return length
}

/** Between words, else after a character that parts a name, else anywhere. */
function breakBefore(text: string, length: number): number {
  const space = text.lastIndexOf(' ', length)
  if (space > length / 3) return space
  const parts = [...text.slice(0, length).matchAll(/[/._-]/g)].at(-1)
  return parts !== undefined && parts.index > length / 3 ? parts.index + 1 : length
}
