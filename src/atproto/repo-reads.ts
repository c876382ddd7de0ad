import * as describeRepoMethod from '../protocol/lexicon/generated/com/atproto/repo/describeRepo.ts'
import * as listRecordsMethod from '../protocol/lexicon/generated/com/atproto/repo/listRecords.ts'
import * as getLatestCommitMethod from '../protocol/lexicon/generated/com/atproto/sync/getLatestCommit.ts'
import * as listReposMethod from '../protocol/lexicon/generated/com/atproto/sync/listRepos.ts'
import * as listReposByCollectionMethod from '../protocol/lexicon/generated/com/atproto/sync/listReposByCollection.ts'
import { AtprotoError } from './errors.ts'
import type { FetchedRecord } from './pds-records.ts'
import { normalizeDid, type Did } from './syntax.ts'
import { callXrpc, type XrpcTarget } from './xrpc-client.ts'

const repoPageSize = 1000
/** Records a page; smaller when the server cannot answer so many at once, or we could not take its answer. */
const recordPageSizes = [100, 10, 1] as const

/** The revision of a data repo as it stands. @throws {AtprotoError} `xrpc_refused` with `RepoDeactivated` and its like */
export async function getLatestRev(target: XrpcTarget, did: Did): Promise<string> {
  const { body } = await callXrpc(target, getLatestCommitMethod.main, { params: { did } })
  return body.rev
}

/** The collections of a data repo; undefined where the server does not tell. @throws {AtprotoError} */
export async function findCollections(target: XrpcTarget, did: Did): Promise<readonly string[] | undefined> {
  try {
    const { body } = await callXrpc(target, describeRepoMethod.main, { params: { repo: did } })
    return body.collections
  } catch (error) {
    const isMute =
      error instanceof AtprotoError && (error.code === 'xrpc_refused' || error.code === 'bad_answer')
    if (isMute) return undefined
    throw error
  }
}

/** All records of a collection, page by page. @throws {AtprotoError} */
export async function* recordPages(
  target: XrpcTarget,
  did: Did,
  collection: string,
): AsyncGenerator<FetchedRecord[], void, undefined> {
  let cursor: string | undefined
  let size = 0
  do {
    const limit = recordPageSizes[size] ?? 1
    const from = cursor === undefined ? {} : { cursor }
    const params = { repo: did, collection: collection as never, limit, ...from }
    const page = await callXrpc(target, listRecordsMethod.main, { params }).catch((error: unknown) => {
      // No status: the answer broke off, or was more than we take.
      const mayBeTooMuch = error instanceof AtprotoError && error.status === undefined
      if (!mayBeTooMuch || size + 1 >= recordPageSizes.length) throw error
      size++
      return undefined
    })
    if (page === undefined) continue
    const { records } = page.body
    yield records.map(({ uri, cid, value }) => ({ uri, cid, value }))
    // A server that gives the same mark again would go on for ever.
    const next = records.length === 0 ? undefined : page.body.cursor
    cursor = next === cursor ? undefined : next
    if (cursor === undefined) return
  } while (true)
}

/** DIDs of the accounts that have records of a collection, as a relay knows them, page by page. @throws {AtprotoError} */
export async function* reposByCollection(
  target: XrpcTarget,
  collection: string,
): AsyncGenerator<Did[], void, undefined> {
  let cursor: string | undefined
  do {
    const { body } = await callXrpc(target, listReposByCollectionMethod.main, {
      params: {
        collection: collection as never,
        limit: repoPageSize,
        ...(cursor === undefined ? {} : { cursor }),
      },
    })
    yield body.repos.map(({ did }) => normalizeDid(did))
    cursor = body.repos.length === 0 || body.cursor === cursor ? undefined : body.cursor
  } while (cursor !== undefined)
}

/** DIDs of all accounts of a server, page by page. @throws {AtprotoError} */
export async function* allRepos(target: XrpcTarget): AsyncGenerator<Did[], void, undefined> {
  let cursor: string | undefined
  do {
    const { body } = await callXrpc(target, listReposMethod.main, {
      params: { limit: repoPageSize, ...(cursor === undefined ? {} : { cursor }) },
    })
    yield body.repos.map(({ did }) => normalizeDid(did))
    cursor = body.repos.length === 0 || body.cursor === cursor ? undefined : body.cursor
  } while (cursor !== undefined)
}
