import { open, readFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'

/** A build of the credential helper, or one compressed. */
export interface HelperBuild {
  name: string
  /** Lower-case hex, as the build wrote it down. */
  sha256: string
}

/** Where `npm run build:helper` puts builds. */
const builtHere = join(import.meta.dirname, '../../../dist/helper')

const line = /^([0-9a-f]{64}) [ *](docker-credential-atcr-[a-z0-9.-]+)$/

/** The builds of the credential helper that are in a folder with their checksums. Looked at anew each time: they may be replaced. */
export class HelperBuilds {
  readonly #folder: string

  /** Unless told, where a build of these sources is. */
  constructor(folder: string = builtHere) {
    this.#folder = folder
  }

  /** Empty where nothing was built. */
  async list(): Promise<HelperBuild[]> {
    const sums = await readFile(join(this.#folder, 'SHA256SUMS'), 'utf8').catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
      throw error
    })
    return sums.split('\n').flatMap((text) => {
      const [, sha256, name] = line.exec(text) ?? []
      return sha256 === undefined || name === undefined ? [] : [{ name, sha256 }]
    })
  }

  /** What is listed, and nothing else in that folder. */
  async find(name: string): Promise<HelperBuild | undefined> {
    return (await this.list()).find((build) => build.name === name)
  }

  /** To be closed by who reads it. `undefined` where only the checksum is here. */
  async open({ name }: HelperBuild): Promise<FileHandle | undefined> {
    return open(join(this.#folder, name)).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    })
  }
}

/** As `sha256sum` writes it. */
export function formatSums(builds: readonly HelperBuild[]): string {
  return builds.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('')
}
