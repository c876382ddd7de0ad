/** One page of a list, counted from 1. */
export interface PageNumber {
  number: number
  /** At least 1. */
  count: number
  /** How many entries come before it. */
  offset: number
  limit: number
}

const pageNumberMax = 10_000

/** Reads `?page=`: nonsense is the first page, a page after the last one `undefined`. */
export function readPage(
  text: string | undefined,
  { entryCount, limit }: { entryCount: number; limit: number },
): PageNumber | undefined {
  const wanted = Number(text ?? '1')
  const number = Number.isInteger(wanted) && wanted >= 1 ? Math.min(wanted, pageNumberMax) : 1
  const count = Math.max(1, Math.ceil(entryCount / limit))
  return number > count ? undefined : { number, count, offset: (number - 1) * limit, limit }
}
