import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { sha256Hex } from '../lib/ids.ts'

export interface Asset {
  contentType: string
  bytes: Uint8Array<ArrayBuffer>
}

/** Files of pages, read once; each under a path that changes with its content, so that it may be cached for good. */
export class AssetFiles<Name extends string> {
  readonly #byFile = new Map<string, Asset>()
  readonly #paths = new Map<Name, string>()

  /** Nothing of the folder is ever served but what is named here, with its content type. */
  constructor(folder: string, contentTypes: Readonly<Record<Name, string>>) {
    for (const [name, contentType] of Object.entries<string>(contentTypes)) {
      const bytes = new Uint8Array(readFileSync(join(folder, name)))
      const file = name.replace('.', `-${sha256Hex(bytes).slice(0, 12)}.`)
      this.#byFile.set(file, { contentType, bytes })
      this.#paths.set(name as Name, `/assets/${file}`)
    }
  }

  /** Where a page finds an asset. */
  path(name: Name): string {
    return this.#paths.get(name) as string
  }

  /** The asset under `/assets/<file>`. */
  find(file: string): Asset | undefined {
    return this.#byFile.get(file)
  }
}
