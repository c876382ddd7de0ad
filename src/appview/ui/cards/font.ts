/** The widths of a font's characters: what laying out text needs, read from a TrueType file. */
export interface Font {
  /** Width of a character in ems; undefined when the font has no glyph for it. */
  widthOf(codePoint: number): number | undefined
}

/** Reads the tables `head`, `hhea`, `hmtx` and `cmap` (OpenType 1.9; of `cmap` the format 4). Kerning is left out. */
export function readFont(bytes: Uint8Array): Font {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tables = new Map<string, number>()
  for (let index = 0; index < view.getUint16(4); index++) {
    const at = 12 + index * 16
    tables.set(Buffer.from(bytes.subarray(at, at + 4)).toString('latin1'), view.getUint32(at + 8))
  }
  const table = (name: string) => {
    const at = tables.get(name)
    if (at === undefined) throw new Error(`the font has no table ${name}`)
    return at
  }
  const unitsPerEm = view.getUint16(table('head') + 18)
  const widthCount = view.getUint16(table('hhea') + 34)
  const widths = table('hmtx')
  const glyphOf = readCharacterMap(view, table('cmap'))
  return {
    widthOf(codePoint) {
      const glyph = glyphOf(codePoint)
      if (glyph === 0) return undefined
      return view.getUint16(widths + 4 * Math.min(glyph, widthCount - 1)) / unitsPerEm
    },
  }
}

/** Characters → glyphs; 0 where there is none. */
function readCharacterMap(view: DataView, cmap: number): (codePoint: number) => number {
  for (let index = 0; index < view.getUint16(cmap + 2); index++) {
    const at = cmap + view.getUint32(cmap + 4 + index * 8 + 4)
    if (view.getUint16(at) === 4) return readSegments(view, at)
  }
  throw new Error('the font has no character map of format 4')
}

function readSegments(view: DataView, at: number): (codePoint: number) => number {
  const segmentCount = view.getUint16(at + 6) / 2
  const ends = at + 14
  const starts = ends + 2 * segmentCount + 2
  const deltas = starts + 2 * segmentCount
  const offsets = deltas + 2 * segmentCount
  return (codePoint) => {
    if (codePoint > 0xffff) return 0
    for (let segment = 0; segment < segmentCount; segment++) {
      if (view.getUint16(ends + 2 * segment) < codePoint) continue
      const start = view.getUint16(starts + 2 * segment)
      if (start > codePoint) return 0
      const delta = view.getUint16(deltas + 2 * segment)
      const offset = view.getUint16(offsets + 2 * segment)
      if (offset === 0) return (codePoint + delta) & 0xffff
      const glyph = view.getUint16(offsets + 2 * segment + offset + 2 * (codePoint - start))
      return glyph === 0 ? 0 : (glyph + delta) & 0xffff
    }
    return 0
  }
}
