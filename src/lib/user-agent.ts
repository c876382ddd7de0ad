import { cleanText } from './format.ts'

/** Most browsers also name those they descend from, so the first match is the one. */
const browsers: readonly [sign: RegExp, name: string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\b(?:OPR|OPT|Opera)\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\bVivaldi\//, 'Vivaldi'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|CriOS|HeadlessChrome|Chromium)\//, 'Chrome'],
  [/\bVersion\/[\d.]+.*\bSafari\//, 'Safari'],
]

const systems: readonly [sign: RegExp, name: string][] = [
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bAndroid\b/, 'Android'],
  [/\bWindows\b/, 'Windows'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\b(?:Macintosh|Mac OS X|macOS)\b/, 'macOS'],
  [/\bFreeBSD\b/, 'FreeBSD'],
  [/\b(?:Linux|X11)\b/i, 'Linux'],
]

const nameLengthMax = 40

/**
 * What a `User-Agent` header says it is, in words: `Firefox on Linux`, `curl`, `an unknown browser`. It is what a program
 * says of itself, and good for recognizing one's own, no more.
 */
export function describeUserAgent(userAgent: string): string {
  const browser = nameOf(browsers, userAgent) ?? productOf(userAgent)
  const system = nameOf(systems, userAgent)
  if (browser === undefined)
    return system === undefined ? 'an unknown browser' : `an unknown browser on ${system}`
  return system === undefined ? browser : `${browser} on ${system}`
}

function nameOf(signs: typeof browsers, text: string): string | undefined {
  return signs.find(([sign]) => sign.test(text))?.[1]
}

/** The first product (RFC 9110 §10.1.5) of a program that is no browser: `curl/8.5.0` is curl. */
function productOf(text: string): string | undefined {
  const [, product] = /^([\w.-]+)(?:\/|\s|$)/.exec(text) ?? []
  return product === undefined || product === 'Mozilla' ? undefined : cleanText(product, nameLengthMax)
}
