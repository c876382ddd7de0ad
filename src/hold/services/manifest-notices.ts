import type { Did } from '../../atproto/syntax.ts'
import { isRepositoryName } from '../../protocol/oci/repository-path.ts'
import { HoldError } from '../errors.ts'
import type { Layers, ManifestNotice } from './layers.ts'
import { manifestUriOf } from './layers.ts'
import type { Moderation } from './moderation.ts'
import type { PullLimits } from './pull-limits.ts'
import type { Stats } from './stats.ts'

interface Needs {
  layers: Pick<Layers, 'recordPush'>
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

  /** Layer records and counters. @throws {HoldError} `request_invalid` */
  async push(notice: ManifestNotice, manifest: unknown): Promise<{ layersCreated: number }> {
    checkName(notice.repository)
    const layersCreated = await this.#needs.layers.recordPush(notice, manifest)
    await this.#needs.moderation.notePush(manifestUriOf(notice), notice.repository)
    await this.#needs.stats.count('push', notice)
    return { layersCreated }
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
    const taken = this.#needs.pullLimits.take(reporter, `${notice.ownerDid} ${notice.repository}`, count)
    if (taken > 0) await this.#needs.stats.count('pull', notice, taken)
    return taken > 0
  }
}

function checkName(repository: string): void {
  if (!isRepositoryName(repository)) throw new HoldError('request_invalid', 'not a repository name')
}
