import { isDid, normalizeDid } from '../../atproto/syntax.ts'
import { cleanText } from '../../lib/format.ts'
import { parseDigest, type Digest } from '../../protocol/oci/digest.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import {
  formatRepositoryPath,
  parseRepositoryPath,
  type RepositoryPath,
} from '../../protocol/oci/repository-path.ts'
import { wordsOf } from '../db/search-words.ts'

/** What somebody typed, understood. */
export interface SearchQuery {
  /** As it is shown again. */
  text: string
  words: readonly string[]
  /** From `owner:…`. */
  ownerWords: readonly string[]
  /** One thing that was named exactly. */
  reference: SearchReference | undefined
}

/** A DID, or an image as clients write it. */
export type SearchReference =
  | { kind: 'account'; actor: string }
  | { kind: 'image'; path: RepositoryPath; tag: string | undefined; digest: Digest | undefined }

export const searchTextLengthMax = 200
const wordCountMax = 8
/** What stands before an image's name in commands that people paste. */
const pull = /^(?:\$ )?(?:sudo )?(?:docker|podman|nerdctl|crane|helm|oras) pull /i

/**
 * Reads what was typed or pasted: words, `owner:alice` among them, a handle or a DID, the name of an image, or a whole
 * command with one in it. Anything may be typed; what has no letter and no digit is nothing.
 */
export function parseSearch(typed: string, registryHost: string): SearchQuery {
  const text = cleanText(typed, searchTextLengthMax)
  const parts = text.split(' ')
  const owners = parts.filter((part) => /^owner:./i.test(part))
  const reference = referenceIn(parts, registryHost)
  const rest = parts.filter((part) => !owners.includes(part)).join(' ')
  return {
    text,
    words: wordsOf(
      reference?.kind === 'image' ? formatRepositoryPath(reference.path) : rest.replace(pull, ''),
    ).slice(0, wordCountMax),
    ownerWords: wordsOf(owners.map((part) => part.slice('owner:'.length)).join(' ')).slice(0, wordCountMax),
    reference,
  }
}

function referenceIn(parts: readonly string[], registryHost: string): SearchReference | undefined {
  const [only = ''] = parts
  const actor = only.replace(/^@/, '').toLowerCase()
  if (parts.length === 1 && isDid(actor)) return { kind: 'account', actor: normalizeDid(actor) }
  // Of a command, the last thing that looks like one: options may come before and after.
  const images = parts.map((part) => imageIn(part, registryHost)).filter((image) => image !== undefined)
  return images.at(-1)
}

/** `docker://`, `oci://` and our own pages' addresses all name an image; so do quotes around one. */
function imageIn(part: string, registryHost: string): SearchReference | undefined {
  const bare = part
    .replaceAll(/^["'`]+|["'`,;]+$/g, '')
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/[?#].*$/, '')
  const isOurs = bare.toLowerCase().startsWith(`${registryHost.toLowerCase()}/`)
  const name = isOurs ? bare.slice(registryHost.length + 1).replace(/^r\//, '') : bare
  const [, path = '', tag, digest] =
    /^([^@]+?)(?::([\w][\w.-]{0,127}))?(?:@([a-z0-9]+:[a-f0-9]+))?$/.exec(name) ?? []
  const parsed = readPath(path)
  // Without a dot before the slash it is a name with a slash in it, and words like any other.
  return parsed && { kind: 'image', path: parsed, tag, digest: readDigest(digest) }
}

function readPath(text: string): RepositoryPath | undefined {
  try {
    return parseRepositoryPath(text)
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}

function readDigest(text: string | undefined): Digest | undefined {
  if (text === undefined) return undefined
  try {
    return parseDigest(text)
  } catch (error) {
    if (error instanceof OciError) return undefined
    throw error
  }
}
