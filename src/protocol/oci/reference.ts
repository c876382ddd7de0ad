import { type Digest, parseDigest } from './digest.ts'
import { OciError } from './errors.ts'

declare const tagBrand: unique symbol

/** A tag, checked by {@link parseTag}. */
export type Tag = string & { readonly [tagBrand]: true }

/** What `/manifests/<reference>` names: a movable tag, or the bytes themselves. */
export type Reference = { kind: 'tag'; tag: Tag } | { kind: 'digest'; digest: Digest }

/** Distribution spec, "Pulling manifests": a tag's grammar. */
const tagGrammar = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/

/** Whether the text is a tag. */
export function isTag(text: string): text is Tag {
  return tagGrammar.test(text)
}

/** @throws OciError TAG_INVALID */
export function parseTag(text: string): Tag {
  if (isTag(text)) return text
  throw new OciError(
    'TAG_INVALID',
    'a tag is a letter, digit or _ followed by at most 127 letters, digits, dots, dashes or _',
  )
}

/**
 * Reads a reference. A colon cannot stand in a tag, so a text with one is a digest or nothing.
 *
 * @throws OciError TAG_INVALID or DIGEST_INVALID
 */
export function parseReference(text: string): Reference {
  if (text.includes(':')) return { kind: 'digest', digest: parseDigest(text) }
  return { kind: 'tag', tag: parseTag(text) }
}

/** The text of a reference, as it stands in a URL. */
export function formatReference(reference: Reference): string {
  return reference.kind === 'tag' ? reference.tag : reference.digest
}
