/** Red, green and blue, 0 to 255. */
type Rgb = readonly [number, number, number]

/** `#1c6394` as it stands in settings and style sheets. */
export const hexColour = /^#[0-9a-fA-F]{6}$/

/** How well one colour is read on another: 1 to 21, by WCAG 2.2 (contrast ratio). Text needs 4.5. */
export function contrastOf(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(parse(one)), luminance(parse(other))].sort((a, b) => b - a)
  return (light + 0.05) / (dark + 0.05)
}

/** `share` of the first colour over the second. */
export function mixColours(one: string, other: string, share: number): string {
  const [from, to] = [parse(one), parse(other)]
  const channels = from.map((value, index) => Math.round(value * share + (to[index] as number) * (1 - share)))
  return `#${channels.map((value) => value.toString(16).padStart(2, '0')).join('')}`
}

/** The colour, made darker or lighter by as little as it takes to be read on all of these. */
export function readableColour(colour: string, grounds: readonly string[], ratioMin: number): string {
  const towards = luminance(parse(grounds[0] as string)) > 0.5 ? '#000000' : '#ffffff'
  for (let percent = 0; percent < 100; percent++) {
    const mixed = mixColours(towards, colour, percent / 100)
    if (grounds.every((ground) => contrastOf(mixed, ground) >= ratioMin)) return mixed
  }
  return towards
}

function parse(hex: string): Rgb {
  const value = Number.parseInt(hex.slice(1), 16)
  return [value >> 16, (value >> 8) & 255, value & 255]
}

function luminance(rgb: Rgb): number {
  const [red = 0, green = 0, blue = 0] = rgb.map((value) => {
    const share = value / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
