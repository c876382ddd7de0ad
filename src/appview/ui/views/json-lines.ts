import { showUnseen } from '../../../lib/format.ts'

/** A piece of a line of JSON. */
export interface JsonToken {
  kind: 'key' | 'string' | 'other' | 'punctuation'
  text: string
}

export interface JsonLine {
  /** Spaces before it. */
  indent: number
  tokens: JsonToken[]
}

/** JSON as it was written, with line breaks and spaces of ours between its tokens. */
export interface JsonLines {
  lines: JsonLine[]
  /** There is more than is listed. */
  isCut: boolean
}

const token = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+|\s+|"/gy
const stringLengthMax = 400
const indentMax = 40

/**
 * Breaks JSON into lines, token by token: numbers, escapes and repeated keys stay as they are. Text that is no JSON comes
 * out as what it is, in lines. Ends when the lines have `textLengthMax` characters, each line counted with
 * `lineLength` more for what a page puts around it.
 */
export function jsonLines(text: string, limits: { textLengthMax: number; lineLength: number }): JsonLines {
  const lines: JsonLine[] = []
  let line: JsonLine = { indent: 0, tokens: [] }
  let depth = 0
  let length = 0
  const end = (nextDepth: number) => {
    if (line.tokens.length > 0) lines.push(line)
    depth = nextDepth
    line = { indent: Math.min(depth * 2, indentMax), tokens: [] }
    length += limits.lineLength
  }
  const tokens = text.matchAll(token)
  let previous = ''
  for (const [found] of tokens) {
    if (length > limits.textLengthMax) return { lines, isCut: true }
    if (/^\s/.test(found)) continue
    const isClosing = found === '}' || found === ']'
    const isEmpty = isClosing && (previous === '{' || previous === '[')
    if (isClosing && !isEmpty) end(Math.max(0, depth - 1))
    if ((previous === '{' || previous === '[') && !isClosing) end(depth + 1)
    length += addToken(line, found)
    if (found === ',') end(depth)
    previous = found
  }
  end(depth)
  return { lines, isCut: false }
}

/** How much longer the line is with it. */
function addToken(line: JsonLine, found: string): number {
  const last = line.tokens.at(-1)
  if (found === ':') {
    if (last?.kind === 'string') last.kind = 'key'
    line.tokens.push({ kind: 'punctuation', text: ': ' })
    return 2
  }
  const cut = found.length <= stringLengthMax ? found : `${found.slice(0, stringLengthMax)}…`
  const isPunctuation = /^[{}[\],]$/.test(found)
  const kind = isPunctuation ? 'punctuation' : found.startsWith('"') ? 'string' : 'other'
  if (isPunctuation && last?.kind === 'punctuation') last.text += found
  else line.tokens.push({ kind, text: showUnseen(cut) })
  return cut.length
}
