import { inflateSync } from 'node:zlib'

/** A picture as rows of red, green and blue, 8 bits each. */
export interface Pixels {
  width: number
  height: number
  rgb: Uint8Array
}

/** Reads a PNG as Chromium writes screenshots: 8 bits, RGB or RGBA, not interlaced. Transparency is ignored. */
export function decodePng(file: Buffer): Pixels {
  const data: Buffer[] = []
  let [width, height, channels] = [0, 0, 0]
  for (let at = 8; at < file.length;) {
    const length = file.readUInt32BE(at)
    const type = file.toString('latin1', at + 4, at + 8)
    const body = file.subarray(at + 8, at + 8 + length)
    if (type === 'IHDR') {
      width = body.readUInt32BE(0)
      height = body.readUInt32BE(4)
      channels = body[9] === 6 ? 4 : 3
      if (body[8] !== 8 || (body[9] !== 2 && body[9] !== 6) || body[12] !== 0)
        throw new Error('not a PNG as Chromium writes it')
    }
    if (type === 'IDAT') data.push(body)
    at += length + 12
  }
  return { width, height, rgb: toRgb(unfilter(inflateSync(Buffer.concat(data)), width * channels, height, channels), channels) } // prettier-ignore
}

/** Undoes the filters of the rows (PNG specification, 9: Filtering). */
function unfilter(raw: Buffer, rowBytes: number, height: number, step: number): Uint8Array {
  const pixels = new Uint8Array(rowBytes * height)
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (rowBytes + 1)] as number
    const from = y * (rowBytes + 1) + 1
    const to = y * rowBytes
    for (let x = 0; x < rowBytes; x++) {
      const left = x < step ? 0 : (pixels[to + x - step] as number)
      const up = y === 0 ? 0 : (pixels[to + x - rowBytes] as number)
      const corner = x < step || y === 0 ? 0 : (pixels[to + x - rowBytes - step] as number)
      pixels[to + x] = (raw[from + x] as number) + predict(filter, left, up, corner)
    }
  }
  return pixels
}

function predict(filter: number, left: number, up: number, corner: number): number {
  if (filter === 1) return left
  if (filter === 2) return up
  if (filter === 3) return (left + up) >> 1
  if (filter !== 4) return 0
  const guess = left + up - corner
  const [toLeft, toUp, toCorner] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)]
  if (toLeft <= toUp && toLeft <= toCorner) return left
  return toUp <= toCorner ? up : corner
}

function toRgb(pixels: Uint8Array, channels: number): Uint8Array {
  if (channels === 3) return pixels
  const rgb = new Uint8Array((pixels.length / 4) * 3)
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    rgb.set(pixels.subarray(from, from + 3), to)
  }
  return rgb
}
