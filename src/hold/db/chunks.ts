/** Rows in one statement: SQLite takes 32,766 parameters, and few tables use ten for a row. */
const rowsPerStatement = 500

/** Cuts rows, or keys, into as many as fit into one statement. */
export function* chunksOf<T>(rows: readonly T[]): Generator<T[]> {
  for (let start = 0; start < rows.length; start += rowsPerStatement) {
    yield rows.slice(start, start + rowsPerStatement)
  }
}
