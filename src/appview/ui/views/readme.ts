import type { RepoPage } from '../../db/repo-pages.ts'
import type { RemoteReadmes } from '../../services/remote-readmes.ts'

/** A text in Markdown, and where its relative links lead. */
export interface Readme {
  text: string
  baseUrl: string | undefined
}

/** An annotation's description that is longer is a text of its own. */
const leadLengthMax = 300

/**
 * What there is to read about a repository: what its owner wrote, else the file that the image names, else the image's
 * description, where that is more than a line.
 */
export function findReadme(
  { remoteReadmes }: { remoteReadmes: Pick<RemoteReadmes, 'peek'> },
  page: RepoPage | undefined,
  annotations: Record<string, string>,
): Readme | undefined {
  const source = webUrl(annotations['org.opencontainers.image.source'])
  const baseUrl = source && sourceBase(source)
  if (page?.description !== undefined && page.description.trim() !== '')
    return { text: page.description, baseUrl }
  const address = webUrl(annotations['io.atcr.readme'])
  const remote = address && remoteReadmes.peek(address)
  if (remote !== undefined) return { text: remote, baseUrl: address }
  const description = annotations['org.opencontainers.image.description']
  return description !== undefined && description.length > leadLengthMax
    ? { text: description, baseUrl }
    : undefined
}

/** An address of the web, as it stands in an annotation of a stranger. */
export function webUrl(text: string | undefined): string | undefined {
  const url = text === undefined || text.length > 2000 ? null : URL.parse(text.trim())
  return url !== null && ['http:', 'https:'].includes(url.protocol) ? url.href : undefined
}

/** Files of a repository on a git host stand below a path of their own. */
function sourceBase(source: string): string {
  const path = source.replace(/\.git$/, '').replace(/\/+$/, '')
  return new URL(source).host === 'github.com' ? `${path}/blob/HEAD/` : `${path}/`
}
