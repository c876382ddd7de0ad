import { readFileSync, statSync } from 'node:fs'

import type { Asset } from '../../http/assets.ts'
import { SettingsError } from '../../lib/config.ts'
import { contrastOf, mixColours } from '../../lib/contrast.ts'
import { imageTypeOf } from '../../lib/image-type.ts'
import type { AppViewConfig } from '../config.ts'

type Theme = AppViewConfig['ui']['theme']

/** The accent of each theme, on light pages and on dark ones. */
export const themes: Record<Theme, { light: string; dark: string }> = {
  blue: { light: '#1c6394', dark: '#7cc0ee' },
  teal: { light: '#0f6465', dark: '#6fd0cf' },
  green: { light: '#256b2f', dark: '#86d694' },
  violet: { light: '#5b3fa8', dark: '#b9a5f2' },
  plum: { light: '#8c2f6b', dark: '#ef9fcd' },
  graphite: { light: '#46515b', dark: '#c3ccd4' },
}

/** How this registry looks and what it is called, as its operator wants it. */
export interface Brand {
  name: string
  /** 16 letters at most. */
  shortName: string
  accent: { light: string; dark: string }
  /** In place of the ship. */
  logo: BrandImage | undefined
  /** In place of the logo, in the tabs of browsers. */
  favicon: BrandImage | undefined
  footerText: string | undefined
  footerLinks: readonly { text: string; url: string }[]
  /** Markdown in place of our own texts. */
  terms: string | undefined
  privacy: string | undefined
}

/** A picture of the operator. */
export interface BrandImage extends Asset {
  /** `png` */
  extension: string
}

export const plainBrand: Brand = {
  name: 'ATCR',
  shortName: 'ATCR',
  accent: themes.blue,
  logo: undefined,
  favicon: undefined,
  footerText: undefined,
  footerLinks: [],
  terms: undefined,
  privacy: undefined,
}

const shortNameLengthMax = 16
const logoBytesMax = 512 * 1024
const faviconBytesMax = 100 * 1024
/** As much as the renderer takes. */
const textBytesMax = 100_000

type Settings = Pick<AppViewConfig, 'branding' | 'legal' | 'server' | 'ui'>

/** The brand of these settings, with what the files hold that they name. @throws {SettingsError} naming all that are amiss */
export function loadBrand({ branding, legal, server, ui }: Settings): Brand {
  const problems: string[] = []
  const read = <T>(
    path: string | undefined,
    setting: string,
    bytesMax: number,
    use: (bytes: Buffer) => T,
  ) => {
    try {
      return path === undefined ? undefined : use(readWhole(path, bytesMax))
    } catch (error) {
      problems.push(`${setting}: ${path}: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }
  const logo = read(branding.logo_path, 'branding.logo_path', logoBytesMax, imageOf)
  const favicon = read(branding.favicon_path, 'branding.favicon_path', faviconBytesMax, iconOf)
  const brand: Brand = {
    name: server.client_name,
    shortName:
      server.client_short_name ?? Array.from(server.client_name).slice(0, shortNameLengthMax).join('').trim(),
    accent: {
      light: branding.accent ?? themes[ui.theme].light,
      dark: branding.accent_dark ?? themes[ui.theme].dark,
    },
    logo,
    favicon: favicon ?? (logo !== undefined && isIcon(logo) ? logo : undefined),
    footerText: branding.footer_text,
    footerLinks: branding.footer_links,
    terms: read(legal.terms_path, 'legal.terms_path', textBytesMax, textOf),
    privacy: read(legal.privacy_path, 'legal.privacy_path', textBytesMax, textOf),
  }
  if (problems.length > 0) throw new SettingsError(problems)
  return brand
}

/** What the style sheet says otherwise than for everybody; nothing for the plain brand. */
export function brandCss({ accent }: Brand): string {
  const { dark, light } = accent
  if (light === themes.blue.light && dark === themes.blue.dark) return ''
  const soft = `light-dark(${softOf(light, '#ffffff', 0.12)}, ${softOf(dark, '#0f161d', 0.25)})`
  return `\n@layer tokens { :root { --accent: light-dark(${light}, ${dark}); --accent-soft: ${soft}; } }\n`
}

/** A tint for grounds, on which the colour itself is still read. */
function softOf(colour: string, ground: string, share: number): string {
  const mixed = mixColours(colour, ground, share)
  return share <= 0 || contrastOf(colour, mixed) >= 4.5 ? mixed : softOf(colour, ground, share - 0.01)
}

function readWhole(path: string, bytesMax: number): Buffer {
  const { size } = statSync(path)
  if (size > bytesMax) throw new Error(`${size} bytes, at most ${bytesMax} are taken`)
  return readFileSync(path)
}

function imageOf(bytes: Buffer): BrandImage {
  const contentType = imageTypeOf(bytes) ?? (isSvg(bytes) ? 'image/svg+xml' : undefined)
  if (contentType === undefined || contentType === 'image/gif')
    throw new Error('not a PNG, JPEG, WebP or SVG picture')
  const extension = { 'image/png': 'png', 'image/jpeg': 'jpg', 'image/webp': 'webp', 'image/svg+xml': 'svg' }[contentType] // prettier-ignore
  return { bytes: new Uint8Array(bytes), contentType, extension }
}

function iconOf(bytes: Buffer): BrandImage {
  const image = imageOf(bytes)
  if (!isIcon(image)) throw new Error('not a PNG or SVG picture')
  return image
}

function isIcon({ extension }: BrandImage): boolean {
  return extension === 'png' || extension === 'svg'
}

/** By its beginning: what browsers make of the rest is between them and the file; it is served so that none of it runs. */
function isSvg(bytes: Buffer): boolean {
  return /^\uFEFF?\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^]*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]/.test(
    bytes.subarray(0, 4096).toString(),
  )
}

function textOf(bytes: Buffer): string {
  const text = bytes.toString('utf8').trim()
  if (text === '') throw new Error('there is nothing in it')
  return text
}
