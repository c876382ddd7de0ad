import type { Did } from '../../atproto/syntax.ts'
import { isTag } from '../../protocol/oci/reference.ts'
import { isRepositoryName } from '../../protocol/oci/repository-path.ts'
import { logger } from '../../lib/log.ts'
import { HoldError } from '../errors.ts'
import { manifestNotices } from '../metrics.ts'
import type { Layers, ManifestNotice } from './layers.ts'
import { manifestUriOf } from './layers.ts'
import type { Moderation } from './moderation.ts'
import type { Posts } from './posts.ts'
import type { PullLimits } from './pull-limits.ts'
import type { Stats } from './stats.ts'

const log = logger('hold:manifests')

interface Needs {
  layers: Pick<Layers, 'recordPush'>
  posts: Pick<Posts, 'announce'>
  moderation: Pick<Moderation, 'notePush'>
  stats: Pick<Stats, 'count' | 'isKnown'>
  pullLimits: PullLimits
}

/** What follows from being told that a manifest was pushed or pulled. */
export class ManifestNotices {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Layer records and counters, and a post about the tag. @throws {HoldError} `request_invalid` */
  async push(
    notice: ManifestNotice & { tag?: string | undefined },
    manifest: unknown,
  ): Promise<{ layersCreated: number; post: { uri: string; isNew: boolean } | undefined }> {
    const { tag, ...rest } = notice
    if (tag !== undefined && !isTag(tag)) throw new HoldError('request_invalid', 'not a tag')
    checkName(notice.repository)
    const layersCreated = await this.#needs.layers.recordPush(notice, manifest)
    // At once, so that they share a flush.
    await Promise.all([
      this.#needs.moderation.notePush(manifestUriOf(notice), notice.repository),
      this.#needs.stats.count('push', notice),
    ])
    manifestNotices.inc({ operation: 'push' })
    const { ownerDid: account, repository, digest } = notice
    log.info({ account, repository, tag, digest, layersCreated }, 'manifest registered')
    const post = tag === undefined ? undefined : await this.#needs.posts.announce({ ...rest, tag })
    return { layersCreated, post }
  }

  /**
   * Counts pulls of a repository that was pushed here; whether any were. Others are made up, or nothing to us.
   * @throws {HoldError} `request_invalid`
   */
  async pull(
    notice: { ownerDid: Did; repository: string },
    count: number,
    reporter: string,
  ): Promise<boolean> {
    checkName(notice.repository)
    if (!(await this.#needs.stats.isKnown(notice))) return false
    manifestNotices.inc({ operation: 'pull' })
    const taken = this.#needs.pullLimits.take(reporter, `${notice.ownerDid} ${notice.repository}`, count)
    if (taken > 0) await this.#needs.stats.count('pull', notice, taken)
    return taken > 0
  }
}

function checkName(repository: string): void {
  if (!isRepositoryName(repository)) throw new HoldError('request_invalid', 'not a repository name')
}
