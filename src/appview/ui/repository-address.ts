/** What an address below `/r/` is about. */
export interface RepositoryAddress {
  /** `<owner>/<name>`, as it was typed. */
  path: string
  /** `overview`, `tag`, `manifest`, or what stands behind `/-/`. */
  page: string
  /** The tag or digest, or what follows the page's name behind `/-/`. */
  reference: string
}

/**
 * Takes an address below `/r/` apart. A name may have any number of components, and `tags` may be one of them: then the
 * tag's page comes first, and who finds no such tag looks for a repository. A lone `-` is no component (OCI
 * distribution: names), so nothing is ambiguous behind it.
 */
export function parseRepositoryAddress(text: string): RepositoryAddress {
  const own = /^(?<path>.+?)\/-\/(?<page>[a-z.]+)(?:\/(?<reference>.*))?$/s.exec(text)?.groups
  if (own !== undefined) {
    return { path: own['path'] ?? '', page: `-/${own['page']}`, reference: own['reference'] ?? '' }
  }
  const manifest = /^(?<path>.+)\/manifests\/(?<reference>[a-z0-9]+:[^/]+)$/s.exec(text)?.groups
  if (manifest !== undefined) {
    return { path: manifest['path'] ?? '', page: 'manifest', reference: manifest['reference'] ?? '' }
  }
  const tag = /^(?<path>.+)\/tags\/(?<reference>[^/]+)$/s.exec(text)?.groups
  if (tag !== undefined) return { path: tag['path'] ?? '', page: 'tag', reference: tag['reference'] ?? '' }
  return { path: text, page: 'overview', reference: '' }
}
