/** What was seen of one thing over time. */
export interface Series {
  name: string
  points: { hours: number; value: number }[]
  /** Less than this by the hour is no growth. */
  noise: number
  /** It grows with what is kept, and should. */
  mayGrow: boolean
}

/** A line through that much of the end: the beginning is warming up. */
const countedPart = 0.5

/**
 * How a series grows by the hour, by least squares through its second half. It counts as growth when it is more than
 * noise and the line explains it: its slope is more than three standard errors away from none.
 */
export function growthOf({ points, noise }: Pick<Series, 'points' | 'noise'>): {
  perHour: number
  isGrowing: boolean
} {
  const counted = points.slice(Math.floor(points.length * (1 - countedPart)))
  const count = counted.length
  if (count < 3) return { perHour: 0, isGrowing: false }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / count
  const middle = mean(counted.map(({ hours }) => hours))
  const level = mean(counted.map(({ value }) => value))
  const spread = counted.reduce((sum, { hours }) => sum + (hours - middle) ** 2, 0)
  if (spread === 0) return { perHour: 0, isGrowing: false }
  const perHour =
    counted.reduce((sum, { hours, value }) => sum + (hours - middle) * (value - level), 0) / spread
  const rest = counted.reduce(
    (sum, { hours, value }) => sum + (value - level - perHour * (hours - middle)) ** 2,
    0,
  )
  const error = Math.sqrt(rest / (count - 2) / spread)
  return { perHour, isGrowing: perHour > noise && perHour > 3 * error }
}
