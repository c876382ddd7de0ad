import { join } from 'node:path'

import { AssetFiles, logo, readAll, styleSheet } from '../../http/assets.ts'
import { brandCss, plainBrand, type Brand } from './brand.ts'

const folder = join(import.meta.dirname, 'assets')
const script = (name: string) => ({
  contentType: 'text/javascript; charset=utf-8',
  files: [join(folder, name)],
})
const style = styleSheet(join(folder, 'atcr.css'))
const sources = {
  'atcr.css': style,
  'copy.js': script('copy.js'),
  'keys.js': script('keys.js'),
  'live.js': script('live.js'),
  'menu.js': script('menu.js'),
  'logo.svg': logo,
  'icon.svg': logo,
}

/** What the pages load, and what they look like. */
export class Assets extends AssetFiles<keyof typeof sources> {
  #brand: Brand = plainBrand

  constructor() {
    super(sources)
  }

  get brand(): Brand {
    return this.#brand
  }

  /** Pages that are made from now on look so. */
  wear(brand: Brand): void {
    this.#brand = brand
    const css = Buffer.concat([readAll(style.files), Buffer.from(brandCss(brand))])
    this.put('atcr.css', { contentType: style.contentType, bytes: new Uint8Array(css) })
    const plain = { contentType: logo.contentType, bytes: readAll(logo.files), extension: 'svg' }
    const ownLogo = brand.logo ?? plain
    const icon = brand.favicon ?? plain
    this.put('logo.svg', ownLogo, `logo.${ownLogo.extension}`)
    this.put('icon.svg', icon, `icon.${icon.extension}`)
  }
}

export function loadAssets(): Assets {
  return new Assets()
}
