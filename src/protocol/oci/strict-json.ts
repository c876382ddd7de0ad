/** Why a text was refused. */
export class StrictJsonError extends Error {
  override name = 'StrictJsonError'
}

/** Limits of {@link parseStrictJson}. */
export interface StrictJsonOptions {
  /** Nesting of objects and arrays. */
  depthMax: number
  /** Members with these names must not be written with a fraction or an exponent. */
  integerKeys?: ReadonlySet<string>
}

/** An open object with its keys so far, or an open array. */
interface Frame {
  keys: Set<string> | undefined
  key: string
  isKeyNext: boolean
}

/**
 * Parses JSON that two readers cannot understand differently: valid UTF-8 without a byte order mark, no key twice
 * in one object at any level, no deep nesting. One pass in linear time and without recursion, then `JSON.parse`,
 * which judges the grammar; the first pass only needs to be right about texts that the second accepts.
 *
 * @throws StrictJsonError
 */
export function parseStrictJson(bytes: Uint8Array, options: StrictJsonOptions): unknown {
  const text = decode(bytes)
  scan(text, options)
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new StrictJsonError('not JSON', { cause })
  }
}

function decode(bytes: Uint8Array): string {
  try {
    // ignoreBOM keeps the mark in the text, where JSON.parse refuses it.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new StrictJsonError('not UTF-8', { cause })
  }
}

function scan(text: string, { depthMax, integerKeys }: StrictJsonOptions): void {
  const stack: Frame[] = []
  let position = 0
  while (position < text.length) {
    const character = text.charAt(position)
    const top = stack.at(-1)
    switch (character) {
      case '{':
      case '[':
        if (stack.length >= depthMax) throw new StrictJsonError(`nested deeper than ${depthMax} levels`)
        stack.push({ keys: character === '{' ? new Set() : undefined, key: '', isKeyNext: character === '{' })
        break
      case '}':
      case ']':
        stack.pop()
        break
      case ',':
        if (top?.keys) top.isKeyNext = true
        break
      case '"': {
        const end = endOfString(text, position)
        if (top?.keys && top.isKeyNext) noteKey(top, top.keys, text.slice(position, end))
        position = end
        continue
      }
      case '.':
      case 'e':
      case 'E':
        // Outside strings these three stand in numbers, and in the words true and false.
        if (top?.keys && integerKeys?.has(top.key) && /[0-9]/.test(text[position - 1] ?? '')) {
          throw new StrictJsonError(`${top.key} is not a whole number`)
        }
        break
      default:
    }
    position += 1
  }
}

/** Position after the closing quote; the text's end when there is none. */
function endOfString(text: string, start: number): number {
  for (let position = start + 1; position < text.length; position += 1) {
    const character = text.charCodeAt(position)
    if (character === 0x22) return position + 1
    if (character === 0x5c) position += 1
  }
  return text.length
}

/** Keys are compared as they are understood: `"a"` and `"\u0061"` are the same key. */
function noteKey(frame: Frame, keys: Set<string>, literal: string): void {
  let key: unknown
  try {
    key = JSON.parse(literal)
  } catch (cause) {
    throw new StrictJsonError('not JSON', { cause })
  }
  if (typeof key !== 'string') throw new StrictJsonError('not JSON')
  if (keys.has(key)) throw new StrictJsonError('an object has the same key twice')
  keys.add(key)
  frame.key = key
  frame.isKeyNext = false
}
