import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { sha256Hex } from '../../lib/ids.ts'

/** Everything a page may load, by name. Nothing else in the folder is ever served. */
const contentTypes = {
  'atcr.css': 'text/css; charset=utf-8',
  'copy.js': 'text/javascript; charset=utf-8',
  'logo.svg': 'image/svg+xml',
} as const

export type AssetName = keyof typeof contentTypes

export interface Asset {
  contentType: string
  bytes: Uint8Array<ArrayBuffer>
}

/** The pages' files, read once; each under a path that changes with its content, so that it may be cached for good. */
export class Assets {
  readonly #byFile = new Map<string, Asset>()
  readonly #paths = new Map<AssetName, string>()

  constructor(folder: string = join(import.meta.dirname, 'assets')) {
    for (const [name, contentType] of Object.entries(contentTypes)) {
      const bytes = new Uint8Array(readFileSync(join(folder, name)))
      const file = name.replace('.', `-${sha256Hex(bytes).slice(0, 12)}.`)
      this.#byFile.set(file, { contentType, bytes })
      this.#paths.set(name as AssetName, `/assets/${file}`)
    }
  }

  /** Where a page finds an asset. */
  path(name: AssetName): string {
    return this.#paths.get(name) as string
  }

  /** The asset under `/assets/<file>`. */
  find(file: string): Asset | undefined {
    return this.#byFile.get(file)
  }
}
