import { join } from 'node:path'

import { AssetFiles, logo, styleSheet } from '../../http/assets.ts'

/** What the pages load. */
export type Assets = AssetFiles<'atcr.css' | 'copy.js' | 'keys.js' | 'live.js' | 'logo.svg' | 'menu.js'>

export function loadAssets(): Assets {
  const folder = join(import.meta.dirname, 'assets')
  const script = (name: string) => ({
    contentType: 'text/javascript; charset=utf-8',
    files: [join(folder, name)],
  })
  return new AssetFiles({
    'atcr.css': styleSheet(join(folder, 'atcr.css')),
    'copy.js': script('copy.js'),
    'keys.js': script('keys.js'),
    'live.js': script('live.js'),
    'menu.js': script('menu.js'),
    'logo.svg': logo,
  })
}
