/**
 * The environment of a program that is to see none of this process's settings. What Node compiled for others it may use:
 * a program that compiles all of itself anew takes twice as long to start.
 */
export function bareEnvironment(settings: Record<string, string> = {}): Record<string, string> {
  const { NODE_COMPILE_CACHE } = process.env
  return { ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }), ...settings }
}
