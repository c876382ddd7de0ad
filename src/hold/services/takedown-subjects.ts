import { formatAtUri, isDid, normalizeDid, parseAtUri, type Did } from '../../atproto/syntax.ts'
import { manifestCollection } from '../../protocol/lexicon/manifest-record.ts'
import { repoPageCollection, repoPageRkey } from '../../protocol/lexicon/repo-page-record.ts'

/**
 * What can be taken down: an account (its DID), a repository (the AT-URI of its page, whether or not there is such a
 * record), or one manifest (the AT-URI of its record). Two spellings of the same are one text.
 */
export type TakedownSubject = string

export const accountSubject = (did: Did): TakedownSubject => normalizeDid(did)

export const repositorySubject = (did: Did, repository: string): TakedownSubject =>
  formatAtUri(normalizeDid(did), repoPageCollection, repoPageRkey(repository))

/** The subject of a label's `uri`; undefined for what a hold has nothing to do with. */
export function parseSubject(uri: string): TakedownSubject | undefined {
  const account = uri.replace(/^at:\/\/([^/]+)\/?$/, '$1')
  if (isDid(account)) return accountSubject(account)
  const record = parseAtUri(uri)
  if (record === undefined) return undefined
  const { did, collection, rkey } = record
  if (collection !== repoPageCollection && collection !== manifestCollection) return undefined
  return formatAtUri(normalizeDid(did), collection, rkey)
}

/** Whose the subject is. */
export function ownerOf(subject: TakedownSubject): Did {
  return parseAtUri(subject)?.did ?? (subject as Did)
}
