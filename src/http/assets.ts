import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { sha256Hex } from '../lib/ids.ts'

export interface Asset {
  contentType: string
  bytes: Uint8Array<ArrayBuffer>
}

/** Where an asset comes from: several files follow each other. */
export interface AssetSource {
  contentType: string
  files: readonly string[]
}

const shared = join(import.meta.dirname, 'assets')

/** The style sheet of a room: what all pages share, and then its own. */
export function styleSheet(file: string): AssetSource {
  return { contentType: 'text/css; charset=utf-8', files: [join(shared, 'base.css'), file] }
}

export const logo: AssetSource = { contentType: 'image/svg+xml', files: [join(shared, 'logo.svg')] }

/** The bytes of these files, one after the other. */
export function readAll(files: readonly string[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(files.map((file) => readFileSync(file))))
}

/** Files of pages, read once; each under a path that changes with its content, so that it may be cached for good. */
export class AssetFiles<Name extends string> {
  readonly #byFile = new Map<string, Asset>()
  readonly #paths = new Map<Name, string>()

  /** Nothing is ever served but what is named here. */
  constructor(sources: Readonly<Record<Name, AssetSource>>) {
    for (const [name, { contentType, files }] of Object.entries<AssetSource>(sources)) {
      this.put(name as Name, { contentType, bytes: readAll(files) })
    }
  }

  /** From now on pages find this under the name. What was there is still served: pages that are open may want it. */
  protected put(name: Name, asset: Asset, fileName: string = name): void {
    const file = fileName.replace('.', `-${sha256Hex(asset.bytes).slice(0, 12)}.`)
    this.#byFile.set(file, asset)
    this.#paths.set(name, `/assets/${file}`)
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
