import { join } from 'node:path'

import { AssetFiles, logo, styleSheet } from '../../http/assets.ts'

/** What the hold's pages load. */
export type HoldAssets = AssetFiles<'hold.css' | 'logo.svg'>

export function loadAssets(): HoldAssets {
  const folder = join(import.meta.dirname, 'assets')
  return new AssetFiles({ 'hold.css': styleSheet(join(folder, 'hold.css')), 'logo.svg': logo })
}
