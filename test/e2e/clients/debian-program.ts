import { missingPackages } from '../../../scripts/debian-packages.ts'

/** Says what is missing of what a client needs from Debian. */
export function findMissingPackage(...names: string[]): string | undefined {
  const missing = missingPackages(names)
  return missing.length === 0 ? undefined : `not installed: Debian's ${missing.join(', ')}`
}
