const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** Bytes as people say them, in steps of a thousand as the clients print them: `512 B`, `1.4 MB`, `23 MB`. */
export function formatSize(sizeBytes: number): string {
  let value = sizeBytes
  let unit = 0
  // Rounding must not print "1000 kB".
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  const digits = unit === 0 || value >= 9.95 ? 0 : 1
  return `${value.toFixed(digits)} ${units[unit]}`
}
