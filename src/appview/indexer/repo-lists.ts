import { AtprotoError } from '../../atproto/errors.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { allRepos, reposByCollection } from '../../atproto/repo-reads.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { XrpcTarget } from '../../atproto/xrpc-client.ts'
import type { Logger } from '../../lib/log.ts'
import { indexedCollections } from '../read-model/record-handlers.ts'

/** A server that lists no collections but all its accounts is one of a small network, or it is not asked further. */
const accountCountMax = 10_000
const pageSize = 1000

interface Needs {
  relayUrls: readonly string[]
  fetch: Fetch
  log: Logger
}

/**
 * Accounts that have records of ours, as the first relay that answers lists them, page by page; some come more than
 * once. A PDS in place of a relay lists whom it has. False when none of the relays answered to the end.
 */
export async function listAccountsOfNetwork(
  { relayUrls, fetch, log }: Needs,
  onPage: (dids: readonly Did[]) => Promise<void>,
): Promise<boolean> {
  for (const relayUrl of relayUrls) {
    try {
      await listFrom({ serviceUrl: relayUrl, fetch }, onPage)
      return true
    } catch (err) {
      if (!(err instanceof AtprotoError)) throw err
      log.warn({ err, relay: relayUrl }, 'a relay did not list the accounts; the next one is asked')
    }
  }
  return relayUrls.length === 0
}

async function listFrom(target: XrpcTarget, onPage: (dids: readonly Did[]) => Promise<void>): Promise<void> {
  for (const collection of indexedCollections) {
    try {
      for await (const page of reposByCollection(target, collection)) await onPage(page)
    } catch (error) {
      if (!isUnknownMethod(error)) throw error
      return listAll(target, onPage)
    }
  }
}

async function listAll(target: XrpcTarget, onPage: (dids: readonly Did[]) => Promise<void>): Promise<void> {
  // Nobody is read before it is known that they are few: those of a whole network are not ours to read.
  const dids: Did[] = []
  for await (const page of allRepos(target)) {
    dids.push(...page)
    if (dids.length > accountCountMax) {
      throw new AtprotoError(
        'xrpc_refused',
        `more than ${accountCountMax} accounts and no list by collection`,
      )
    }
  }
  for (let start = 0; start < dids.length; start += pageSize)
    await onPage(dids.slice(start, start + pageSize))
}

/** 501 by the specification of XRPC; servers that never heard of a method refuse it in words of their own. */
function isUnknownMethod(error: unknown): boolean {
  return error instanceof AtprotoError && (error.code === 'xrpc_refused' || error.status === 501)
}
