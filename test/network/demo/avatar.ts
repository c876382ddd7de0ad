import { diceOf, type Dice } from './dice.ts'
import { palettePng, type Rgb } from './png.ts'

const size = 240
/** Tones of one hue, so that any three go together. */
const tones = [0.28, 0.46, 0.62, 0.8, 0.93]

type Shape = (u: number, v: number) => number

/** A geometric picture that follows from a name: four quarters, mirrored or turned, in tones of two hues. */
export function avatarOf(name: string): Buffer {
  const dice = diceOf(`avatar ${name}`)
  const hue = dice.next()
  const other = (hue + dice.pick([0.08, 0.42, 0.5])) % 1
  const palette = [
    ...tones.map((tone) => colour(hue, 0.5, tone)),
    ...tones.map((tone) => colour(other, 0.55, tone)),
  ]
  const shape = dice.pick([petals, waves, triangles, rings])(dice)
  return palettePng({ width: size, height: size }, palette, (x, y) => shape(x / size, y / size))
}

/** Four quarter circles about a middle, each turned its own way. */
function petals(dice: Dice): Shape {
  const corners = Array.from({ length: 16 }, () => [
    dice.between(0, 1),
    dice.between(0, 1),
    dice.between(5, 8),
  ])
  return (u, v) => {
    const cell = Math.floor(u * 3) + Math.floor(v * 3) * 3
    const [cx = 0, cy = 0, tone = 5] = corners[cell] ?? []
    return Math.hypot(((u * 3) % 1) - cx, ((v * 3) % 1) - cy) < 1 ? tone : 3 + (cell % 2)
  }
}

/** Hills behind hills, like a coast. */
function waves(dice: Dice): Shape {
  const phases = Array.from({ length: 4 }, () => dice.next() * Math.PI * 2)
  const sun = { x: 0.25 + dice.next() * 0.5, y: 0.27, radius: 0.13 }
  return (u, v) => {
    for (let hill = 3; hill >= 0; hill--) {
      const top = 0.42 + hill * 0.15 + Math.sin(u * (4 + hill) + (phases[hill] ?? 0)) * 0.06
      if (v > top) return 3 - hill
    }
    return Math.hypot(u - sun.x, v - sun.y) < sun.radius ? 8 : 4
  }
}

function triangles(dice: Dice): Shape {
  const cells = Array.from({ length: 16 }, () => ({ isRising: dice.next() < 0.5, low: dice.between(0, 4), high: dice.between(5, 9) })) // prettier-ignore
  return (u, v) => {
    const cell = cells[Math.floor(u * 4) + Math.floor(v * 4) * 4]
    const [x, y] = [(u * 4) % 1, (v * 4) % 1]
    const isAbove = cell?.isRising === true ? x + y < 1 : x > y
    return (isAbove ? cell?.low : cell?.high) ?? 0
  }
}

/** Rings about a point off the middle. */
function rings(dice: Dice): Shape {
  const [x, y] = [0.3 + dice.next() * 0.4, 0.3 + dice.next() * 0.4]
  const order = Array.from({ length: 12 }, () => dice.between(0, 9))
  return (u, v) => order[Math.min(11, Math.floor(Math.hypot(u - x, v - y) * 13))] ?? 0
}

/** Hue, saturation and lightness, each from 0 to 1. */
function colour(hue: number, saturation: number, lightness: number): Rgb {
  const reach = saturation * Math.min(lightness, 1 - lightness)
  const channel = (offset: number) => {
    const step = (offset + hue * 12) % 12
    return Math.round(255 * (lightness - reach * Math.max(-1, Math.min(step - 3, 9 - step, 1))))
  }
  return [channel(0), channel(8), channel(4)]
}
