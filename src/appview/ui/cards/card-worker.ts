/** A worker thread: a card comes in, a PNG goes out. Drawing takes tens of milliseconds that the server has no time for. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parentPort } from 'node:worker_threads'

import { initWasm, Resvg } from '@resvg/resvg-wasm'

import type { BrandedCard } from '../views/card.ts'
import { cardSvg } from './card-svg.ts'
import { readFont } from './font.ts'

/** `id` is the caller's, and comes back. */
export interface CardJob {
  id: number
  card: BrandedCard
}

export type CardResult = { id: number; png: Uint8Array<ArrayBuffer> } | { id: number; error: string }

const { resolve } = createRequire(import.meta.url)
const read = (file: string) => new Uint8Array(readFileSync(resolve(file)))

await initWasm(read('@resvg/resvg-wasm/index_bg.wasm'))
const regular = read('@expo-google-fonts/inter/400Regular/Inter_400Regular.ttf')
const bold = read('@expo-google-fonts/inter/700Bold/Inter_700Bold.ttf')
const fonts = { regular: readFont(regular), bold: readFont(bold) }

parentPort?.on('message', ({ id, card }: CardJob) => {
  void draw(card).then(
    (png) => parentPort?.postMessage({ id, png } satisfies CardResult, [png.buffer]),
    (error: unknown) => parentPort?.postMessage({ id, error: String(error) } satisfies CardResult, []),
  )
})

async function draw(card: BrandedCard): Promise<Uint8Array<ArrayBuffer>> {
  const svg = await cardSvg(card, fonts)
  const resvg = new Resvg(svg, { font: { fontBuffers: [regular, bold], defaultFontFamily: 'Inter' } })
  const image = resvg.render()
  const png = new Uint8Array(image.asPng())
  // What is in the memory of WebAssembly no garbage collector sees.
  image.free()
  resvg.free()
  return png
}
