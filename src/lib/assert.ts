/** Our own mistake, never the caller's: an edge answers it with 500. */
export class AssertionError extends Error {
  override name = 'AssertionError'
}

/** Throws {@link AssertionError} unless `condition` holds. For what must be so whatever the input was. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** Marks a branch that the types say cannot be reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable: ${JSON.stringify(value)}`)
}
