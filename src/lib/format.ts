const steps: readonly [unit: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['week', 7 * 86_400],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
]
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'always' })

/** How long ago: `just now`, `5 minutes ago`, `2 weeks ago`. Clocks differ a little, so the future is now. */
export function formatAge(then: Date, now: Date): string {
  const seconds = Math.floor((now.getTime() - then.getTime()) / 1000)
  for (const [unit, size] of steps) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit)
  }
  return 'just now'
}

const exact = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' })

/** `22 November 2026 at 10:00 UTC` */
export function formatTime(time: Date): string {
  return `${exact.format(time)} UTC`
}

/** `sha256:` and the first twelve digits: what people compare by eye. */
export function shortDigest(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':')
  return `${algorithm}:${hex.slice(0, 12)}`
}

const number = new Intl.NumberFormat('en')

/** `1,024` */
export const formatNumber = (value: number): string => number.format(value)

/** `1 tag`, `2 tags`, `1,024 tags` */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}

// Controls, overrides of writing direction, and what takes no room: a name must not pass for another. Joiners and
// variation selectors stay, because scripts and emoji need them.
const unseen =
  /(?!\u200c|\u200d|\ufe0e|\ufe0f)(?:\p{Cc}|\p{Cs}|\p{Default_Ignorable_Code_Point}|\p{Bidi_Control}|\u2028|\u2029)/gu

/** How much more than is kept is read: white space comes to nothing. */
const readFactor = 8

/**
 * Text of a stranger on one line: white space becomes a space, what cannot be seen becomes `�`, what is too long
 * is cut. (Escaping is the templates' business.)
 */
export function cleanText(text: string, lengthMax: number): string {
  // What is cut anyway is not looked at either.
  const line = showUnseen(
    text
      .slice(0, lengthMax * readFactor)
      .replaceAll(/\s+/gu, ' ')
      .trim(),
  )
  const characters = Array.from(line)
  return characters.length <= lengthMax ? line : `${characters.slice(0, lengthMax - 1).join('')}…`
}

/** Text of a stranger with `�` for what cannot be seen. */
export function showUnseen(text: string): string {
  return text.replaceAll(unseen, '\ufffd')
}
