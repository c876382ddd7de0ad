import { join } from 'node:path'

import { AssetFiles } from '../../http/assets.ts'

const contentTypes = { 'hold.css': 'text/css; charset=utf-8', 'logo.svg': 'image/svg+xml' } as const

/** What the hold's pages load. */
export type HoldAssets = AssetFiles<keyof typeof contentTypes>

export function loadAssets(): HoldAssets {
  return new AssetFiles(join(import.meta.dirname, 'assets'), contentTypes)
}
