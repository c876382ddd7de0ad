import { join } from 'node:path'

import { AssetFiles } from '../../http/assets.ts'

/** Everything a page may load, by name. */
const contentTypes = {
  'atcr.css': 'text/css; charset=utf-8',
  'copy.js': 'text/javascript; charset=utf-8',
  'logo.svg': 'image/svg+xml',
} as const

/** The files of the pages. */
export class Assets extends AssetFiles<keyof typeof contentTypes> {
  constructor(folder: string = join(import.meta.dirname, 'assets')) {
    super(folder, contentTypes)
  }
}
