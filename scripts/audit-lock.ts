/** What a lock file says of a package. */
interface LockedPackage {
  version?: string
  resolved?: string
  integrity?: string
  license?: string
  dev?: boolean
  optional?: boolean
  link?: boolean
  hasInstallScript?: boolean
}

export interface LockFile {
  lockfileVersion: number
  packages: Record<string, LockedPackage>
}

/** The parts of package.json that are about other packages. */
export interface PackageFile {
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  overrides?: Record<string, string>
}

/** Licences that ask for no more than to be named. */
const licencesOfAll = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MIT-0',
  // Fonts, as they are.
  'OFL-1.1',
  'Unlicense',
])
/** … and those of tools that nobody gets from us. */
const licencesOfTools = new Set([...licencesOfAll, 'MPL-2.0', 'CC-BY-4.0', 'Python-2.0'])

/** Shipped as they are, and named in what says so. */
const licencesOfSome: Record<string, string> = { '@resvg/resvg-wasm': 'MPL-2.0' }

/** Packages that would run something when they are installed. They do not: `.npmrc` forbids it, and they work without. */
const knownInstallScripts = new Set(['core-js', 'protobufjs'])

/**
 * What of a lock file could hand out other code than was read: versions that float, packages from elsewhere or without a
 * hash, scripts that run at once, licences that nobody looked at. Asks nobody; a known weakness of a package is not seen.
 */
export function auditLock(file: PackageFile, lock: LockFile, npmrc: string): string[] {
  const problems: string[] = []
  if (lock.lockfileVersion < 3) problems.push('the lock file is of an old npm')
  if (!/^ignore-scripts=true$/m.test(npmrc)) problems.push('.npmrc: ignore-scripts=true is missing')
  const root = (lock.packages[''] ?? {}) as PackageFile
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'] as const) {
    for (const [name, version] of Object.entries(file[kind] ?? {})) {
      if (!isExact(version)) problems.push(`${name}: ${version} is no exact version`)
      if (root[kind]?.[name] !== version) problems.push(`${name}: the lock file has ${root[kind]?.[name]}, package.json ${version}`) // prettier-ignore
    }
  }
  for (const [name, version] of Object.entries(file.overrides ?? {}))
    if (!isExact(version)) problems.push(`${name}: ${version} is no exact version`)
  for (const [path, entry] of Object.entries(lock.packages))
    if (path !== '') problems.push(...auditPackage(path, entry))
  return problems
}

function auditPackage(path: string, entry: LockedPackage): string[] {
  const { dev, hasInstallScript, integrity, license, link, resolved, version } = entry
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  const problems: string[] = []
  if (link === true || version === undefined || !isExact(version)) problems.push(`${path}: no version of a registry`) // prettier-ignore
  if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')) problems.push(`${path}: no SHA-512 of what is installed`) // prettier-ignore
  // Left out of the file on purpose; a fork, a tarball or another registry would be named here.
  if (resolved !== undefined) problems.push(`${path}: comes from ${resolved}`)
  if (hasInstallScript === true && !knownInstallScripts.has(name)) problems.push(`${path}: runs a script when it is installed; see whether it works without`) // prettier-ignore
  const isKnown = license !== undefined && licencesOfSome[name] === license
  if (!isKnown && !isLicensed(license ?? '', dev === true ? licencesOfTools : licencesOfAll)) problems.push(`${path}: licence ${license ?? 'unknown'}`) // prettier-ignore
  return problems
}

const isExact = (version: string) => /^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)

/** SPDX: of what stands before and after OR one is enough, of AND both are needed. */
function isLicensed(expression: string, allowed: ReadonlySet<string>): boolean {
  return expression
    .replaceAll(/[()]/g, '')
    .split(/ OR /)
    .some((choice) => choice.split(/ AND /).every((licence) => allowed.has(licence.trim())))
}
