/**
 * The `Link` header that leads to the next page (RFC 8288; distribution spec, "Listing tags"). `path` is the URL
 * path as it goes out, percent-encoded already where it needs to be.
 */
export function formatNextLink(path: string, parameters: Record<string, string>): string {
  return `<${path}?${new URLSearchParams(parameters).toString()}>; rel="next"`
}

/** The target of a `Link` header's `rel="next"`, if it has one; for clients that page. */
export function parseNextLink(value: string | undefined | null): string | undefined {
  // A target holds neither "<" nor ">", so that each link is found in one pass.
  for (const [, target, parameters] of (value ?? '').matchAll(/<([^<>]*)>([^<>]*)/g)) {
    if (/;\s*rel\s*=\s*"?next(?:"|\s|;|,|$)/i.test(parameters ?? '')) return target
  }
  return undefined
}
