import { OciError } from './errors.ts'

/**
 * The text of a repository in a URL, taken apart. `owner` is a handle or a DID in its usual spelling (it still has
 * to be resolved); `name` is the repository, one or more components.
 */
export interface RepositoryPath {
  owner: string
  name: string
}

/** Names are at most this long, owner included (distribution spec, "Pulling manifests", and the record's field). */
export const repositoryPathLengthMax = 255

/** Distribution spec: the grammar of a name, which has at least one component. */
const nameGrammar = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/

/** A domain name of two or more labels in lower case; the last does not begin with a digit (ATProto, "Handle"). */
const handleGrammar = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/

const plcGrammar = /^did:plc:[a-z0-9]{1,64}$/
/** Host, and port as `%3A8080` or `:8080`; ATProto knows no did:web with a path. */
const webGrammar = /^did:web:([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?:(?:%3[Aa]|:)([0-9]{1,5}))?$/

const plcAlias = /^did-plc-([a-z0-9]{1,64})$/
const webAlias = /^did-web-([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)(?:__([0-9]{1,5}))?$/

/**
 * Reads `<owner>/<name>` as it stands in a URL or a scope. The owner may be a handle, a DID (its colons plain or
 * percent-encoded), or the alias that clients accept which refuse a colon: `did-plc-xyz`, `did-web-example.org`,
 * `did-web-localhost__8080`. Nothing else is percent-decoded, so `%2f` and `..` are refused by the grammar.
 *
 * @throws OciError NAME_INVALID
 */
export function parseRepositoryPath(text: string): RepositoryPath {
  // Percent-encoding triples a colon at most: anything longer cannot shrink to a name.
  if (text.length > repositoryPathLengthMax * 3) throw invalid('the name is too long')
  const separator = text.indexOf('/')
  if (separator < 0) throw invalid('a name here is <handle or DID>/<repository>')
  const owner = parseOwner(text.slice(0, separator))
  const name = parseRepositoryName(text.slice(separator + 1))
  if (owner.length + 1 + name.length > repositoryPathLengthMax) throw invalid('the name is too long')
  return { owner, name }
}

/** The path in its usual spelling; what {@link parseRepositoryPath} reads back to the same value. */
export function formatRepositoryPath({ owner, name }: RepositoryPath): string {
  return `${owner}/${name}`
}

/** Whether the text is a repository name without its owner. */
export function isRepositoryName(text: string): boolean {
  return text.length <= repositoryPathLengthMax && nameGrammar.test(text)
}

/**
 * Reads a repository name without its owner.
 *
 * @throws OciError NAME_INVALID
 */
export function parseRepositoryName(text: string): string {
  if (isRepositoryName(text)) return text
  throw invalid('a repository name is lower-case letters and digits, parted by ".", "_", "__", dashes or "/"')
}

/**
 * How a path component spells a DID for clients whose names may hold no colon; `undefined` for DIDs that have no
 * such spelling. {@link parseRepositoryPath} reads it back.
 */
export function didAlias(did: string): string | undefined {
  if (plcGrammar.test(did)) return did.replaceAll(':', '-')
  const [, host, port] = webGrammar.exec(did) ?? []
  if (host === undefined) return undefined
  return port === undefined ? `did-web-${host}` : `did-web-${host}__${port}`
}

function parseOwner(component: string): string {
  const text = decodeColons(component)
  const alias = plcAlias.exec(text)
  if (alias) return `did:plc:${alias[1]}`
  if (plcGrammar.test(text)) return text
  // `did-web-example.org` is also a handle by grammar. The alias wins: nobody can register below "did-web-…"
  // what we would have to serve, while the alias must work for everyone.
  const web = webAlias.exec(text) ?? webGrammar.exec(text)
  if (web) return `did:web:${web[1]}${web[2] === undefined ? '' : `%3A${web[2]}`}`
  if (text.length <= 253 && handleGrammar.test(text)) return text
  throw invalid('the first component of a name here is a handle or a DID')
}

/** Undoes one layer of percent-encoding for what a DID needs: the colon, and the percent sign of its own port. */
function decodeColons(text: string): string {
  return text.startsWith('did%') || text.includes('%25')
    ? text.replaceAll(/%3[Aa]|%25/g, (encoded) => (encoded === '%25' ? '%' : ':'))
    : text
}

function invalid(message: string): OciError {
  return new OciError('NAME_INVALID', message)
}
