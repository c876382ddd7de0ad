import { palettePng, type Rgb } from '../../test/network/demo/png.ts'
import { decodePng, type Pixels } from './decode-png.ts'

const colourCountMax = 256

/** The same picture with a palette of at most 256 colours: a third of the bytes. What pages are made of has hardly more. */
export function shrinkPng(file: Buffer): Buffer {
  const picture = decodePng(file)
  const counts = countColours(picture)
  const palette = choosePalette(counts)
  const places = new Map(palette.map((colour, place) => [colour, place]))
  const placeOf = (colour: number) => {
    const known = places.get(colour)
    if (known !== undefined) return known
    const nearest = nearestOf(palette, colour)
    places.set(colour, nearest)
    return nearest
  }
  const { height, rgb, width } = picture
  return palettePng({ width, height }, palette.map(channels), (x, y) =>
    placeOf(colourAt(rgb, (y * width + x) * 3)),
  )
}

/** The most frequent colour of each region of the colour space, and then the most frequent of all: a small green dot counts. */
function choosePalette(counts: ReadonlyMap<number, number>): number[] {
  const byCount = [...counts].toSorted((a, b) => b[1] - a[1]).map(([colour]) => colour)
  const regionOf = (colour: number) => colour & 0xe0e0e0
  const first = new Map(byCount.toReversed().map((colour) => [regionOf(colour), colour]))
  return [...new Set([...first.values(), ...byCount])].slice(0, colourCountMax)
}

const colourAt = (rgb: Uint8Array, at: number) =>
  ((rgb[at] as number) << 16) | ((rgb[at + 1] as number) << 8) | (rgb[at + 2] as number)

const channels = (colour: number): Rgb => [colour >> 16, (colour >> 8) & 255, colour & 255]

function countColours({ rgb }: Pixels): Map<number, number> {
  const counts = new Map<number, number>()
  for (let at = 0; at < rgb.length; at += 3) {
    const colour = colourAt(rgb, at)
    counts.set(colour, (counts.get(colour) ?? 0) + 1)
  }
  return counts
}

function nearestOf(palette: readonly number[], colour: number): number {
  const [red, green, blue] = channels(colour)
  let [best, bestDistance] = [0, Infinity]
  for (const [place, other] of palette.entries()) {
    const [r, g, b] = channels(other)
    const distance = (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2
    if (distance < bestDistance) [best, bestDistance] = [place, distance]
  }
  return best
}
