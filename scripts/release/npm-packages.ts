import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A package that is in a bundle. */
export interface NpmPackage {
  name: string
  version: string
  /** As it says itself; an SPDX expression where it follows npm's custom. */
  license: string | undefined
  folder: string
}

/** The packages that files of `node_modules` belong to, each once, by name. */
export function packagesOf(files: readonly string[]): NpmPackage[] {
  const folders = new Set(files.flatMap((file) => folderOf(file) ?? []))
  const found = new Map<string, NpmPackage>()
  for (const folder of folders) {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Partial<NpmPackage> // prettier-ignore
    if (name === undefined || version === undefined) throw new Error(`${folder} has no name or version`)
    found.set(`${name}@${version}`, { name, version, license, folder })
  }
  return [...found.values()].sort((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1))
}

/** The folder of a file's package: the first above it that `node_modules` holds and that describes itself. */
function folderOf(file: string): string | undefined {
  const path = /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]
  return path !== undefined && existsSync(join(path, 'package.json')) ? path : undefined
}

/** The licences under which packages may be passed on, each text once with those that have it. */
export async function writeNotices(packages: readonly NpmPackage[], file: string): Promise<void> {
  const owners = new Map<string, string[]>()
  for (const { name, version, license, folder } of packages) {
    const files = readdirSync(folder, { withFileTypes: true }).filter(
      (it) => it.isFile() && /^(?:licen[cs]e|copying|notice)/i.test(it.name),
    )
    const text = files.map((it) => readFileSync(join(folder, it.name), 'utf8').trim()).join('\n\n')
    const said = text === '' ? `(no text in the package, which says: ${license ?? 'nothing'})` : text
    owners.set(said, [...(owners.get(said) ?? []), `${name} ${version}`])
  }
  const blocks = [...owners].map(([text, names]) => `${names.join('\n')}\n\n${text}\n`)
  await writeFile(file, blocks.join(`\n${'='.repeat(80)}\n\n`))
}
