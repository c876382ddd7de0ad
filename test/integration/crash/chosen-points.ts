/** In so many days every point has had its turn. */
const days = 4
const msOfDay = 86_400_000

/**
 * The points to die at today. A life takes a second, and most points are of a kind that was passed before in the same
 * push: so the first of each kind is died at always, the others on one day of four each. `CRASH_POINTS=all` takes all.
 */
export function choosePoints(points: readonly string[]): string[] {
  if (process.env['CRASH_POINTS'] === 'all') return [...points]
  const today = Math.floor(Date.now() / msOfDay) % days
  const kinds = new Set<string>()
  let others = 0
  return points.filter((point) => {
    const kind = point.replace(/ #\d+$/, '')
    if (kinds.has(kind)) return others++ % days === today
    kinds.add(kind)
    return true
  })
}
