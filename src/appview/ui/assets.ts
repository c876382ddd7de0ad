import { join } from 'node:path'

import { AssetFiles, logo, styleSheet } from '../../http/assets.ts'

/** What the pages load. */
export type Assets = AssetFiles<'atcr.css' | 'copy.js' | 'logo.svg'>

export function loadAssets(): Assets {
  const folder = join(import.meta.dirname, 'assets')
  return new AssetFiles({
    'atcr.css': styleSheet(join(folder, 'atcr.css')),
    'copy.js': { contentType: 'text/javascript; charset=utf-8', files: [join(folder, 'copy.js')] },
    'logo.svg': logo,
  })
}
