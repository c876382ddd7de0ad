import type { Kysely } from 'kysely'

import { formatAtUri, nextTid, normalizeDid, type Did, type Handle } from '../../atproto/syntax.ts'
import { sleep, type Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import { buildPushPost, postCollection } from '../../protocol/lexicon/push-post-record.ts'
import type { BookkeepingTables, PostRow } from '../db/bookkeeping-tables.ts'
import { deletePostsBefore, insertPost, listPostsSince } from '../db/posts.ts'
import type { HoldRepo } from '../pds/repo.ts'
import { SerialQueue } from '../pds/serial-queue.ts'
import type { Crew } from './crew.ts'
import type { Moderation } from './moderation.ts'

const log = logger('hold:posts')

/** Of the hold as a whole. */
const postsPerHourMax = 30
const postsPerDayMax = 200
/** One build often sets several tags: the first of a repository is told, the others within this time are not. */
const repositoryPauseMs = 10 * 60_000
const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Who the owner is is asked of the network, but not for long. */
const handlePatienceMs = 2_000

/** A tag that was set to a manifest. */
export interface TagPush {
  ownerDid: Did
  repository: string
  digest: string
  tag: string
}

interface Needs {
  database: Kysely<BookkeepingTables>
  repo: Pick<HoldRepo, 'did' | 'findRecord' | 'putRecord'>
  crew: Pick<Crew, 'getCaptain'>
  moderation: Pick<Moderation, 'isTakenDown'>
  /** The verified handle of an account, if it has one. */
  findHandle: (did: Did) => Promise<Handle | undefined>
  /** The AppView whose pages posts link to, without a slash at the end. */
  appviewUrl: string | undefined
  now: Now
}

/** Bluesky posts of the hold about tags that were pushed, where its captain wants them. */
export class Posts {
  readonly #needs: Needs
  readonly #queue = new SerialQueue()

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Posts about a tag, unless the captain does not want it, it was told already, or there were enough posts. Never
   * throws: whatever goes wrong with a post, the push is fine.
   */
  async announce(push: TagPush): Promise<{ uri: string; isNew: boolean } | undefined> {
    const { crew, moderation } = this.#needs
    try {
      if (!(await crew.getCaptain()).enableBlueskyPosts) return undefined
      if (moderation.isTakenDown({ did: push.ownerDid, repository: push.repository })) return undefined
      const handle = await this.#handleOf(push.ownerDid)
      return await this.#queue.run(() => this.#post(push, handle))
    } catch (error) {
      log.warn({ err: error, repository: push.repository }, 'a post could not be made')
      return undefined
    }
  }

  async #post(
    push: TagPush,
    handle: Handle | undefined,
  ): Promise<{ uri: string; isNew: boolean } | undefined> {
    const { database, repo, now } = this.#needs
    const at = now()
    const before = (ms: number) => new Date(at.getTime() - ms).toISOString()
    const ownerDid = normalizeDid(push.ownerDid)
    const recent = await listPostsSince(database, before(dayMs))
    const same = recent.find((row) => row.owner_did === ownerDid && isSame(row, push))
    if (same !== undefined && (await repo.findRecord(postCollection, same.rkey)) !== undefined) {
      return { uri: formatAtUri(repo.did, postCollection, same.rkey), isNew: false }
    }
    const lastHour = recent.filter(({ posted_at }) => posted_at > before(hourMs))
    const ofRepository = recent.find(
      (row) => row.owner_did === ownerDid && row.repository === push.repository,
    )
    const isSoon = ofRepository !== undefined && ofRepository.posted_at > before(repositoryPauseMs)
    if (isSoon || lastHour.length >= postsPerHourMax || recent.length >= postsPerDayMax) return undefined
    const { repository, tag, digest } = push
    const rkey = nextTid()
    // Before the post, so that one that fails again and again counts.
    await insertPost(database, { rkey, owner_did: ownerDid, repository, tag, manifest_digest: digest, posted_at: at.toISOString() }) // prettier-ignore
    const pageUrl = this.#pageUrl(handle ?? ownerDid, repository)
    const post = buildPushPost({ ownerDid, handle, repository, tag, pageUrl, createdAt: at })
    const { uri } = await repo.putRecord(postCollection, rkey, post)
    await deletePostsBefore(database, before(dayMs))
    return { uri, isNew: true }
  }

  #pageUrl(owner: string, repository: string): string | undefined {
    const { appviewUrl } = this.#needs
    return appviewUrl === undefined ? undefined : `${appviewUrl}/r/${owner}/${repository}`
  }

  async #handleOf(did: Did): Promise<Handle | undefined> {
    const stop = new AbortController()
    const late = sleep(handlePatienceMs, stop.signal).then(() => undefined)
    try {
      return await Promise.race([this.#needs.findHandle(did), late])
    } catch {
      return undefined
    } finally {
      stop.abort()
      late.catch(() => undefined)
    }
  }
}

function isSame(row: PostRow, { repository, tag, digest }: TagPush): boolean {
  return row.repository === repository && row.tag === tag && row.manifest_digest === digest
}
