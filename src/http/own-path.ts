/**
 * A path (with query) of this site as somebody's link or form gave it; `otherwise` for whatever could lead elsewhere, or
 * is written so that browsers may read it differently than we do.
 */
export function ownPath(text: string, otherwise: string): string {
  // Printable ASCII without backslash, which browsers take for a slash; longer than this is no page of ours.
  if (!/^\/(?!\/)[\x21-\x5b\x5d-\x7e]{0,1000}$/.test(text)) return otherwise
  const base = 'https://here.invalid'
  if (!URL.canParse(text, base)) return otherwise
  const { origin, pathname, search } = new URL(text, base)
  // `/..//elsewhere` becomes `//elsewhere` only here.
  return origin !== base || pathname.startsWith('//') ? otherwise : pathname + search
}
