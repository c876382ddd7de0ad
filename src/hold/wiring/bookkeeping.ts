import { createOutboundFetch, type Fetch } from '../../atproto/outbound-fetch.ts'
import { normalizeDid, parseDid, urlOfDidWeb } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { version } from '../../lib/version.ts'
import type { HoldContext } from '../context.ts'
import { LabelFeed } from '../jobs/label-feed.ts'
import { moderationJob } from '../jobs/moderation-job.ts'
import { flushStatsJob } from '../jobs/stats-jobs.ts'
import { ManifestNotices } from '../services/manifest-notices.ts'
import { Moderation } from '../services/moderation.ts'
import { Posts } from '../services/posts.ts'
import { avatarBytesMax, giveAvatar } from '../services/profile-avatar.ts'
import { PullLimits } from '../services/pull-limits.ts'
import { Stats } from '../services/stats.ts'

/** What a hold notes down about how it is used. */
export function createBookkeeping(
  needs: Pick<
    HoldContext,
    'config' | 'identities' | 'crew' | 'database' | 'repo' | 'layers' | 'moderation'
  > & { now: Now },
  stack: AsyncDisposableStack,
) {
  const { config, identities, crew, database, repo, layers, moderation, now } = needs
  const stats = new Stats({ database, repo, now })
  const appviewDid = config.server.appview_did
  const posts = new Posts({
    database,
    repo,
    crew,
    moderation,
    findHandle: async (did) => (await identities.resolveDid(did)).handle,
    // Another kind of DID says nothing of where its pages are.
    appviewUrl: appviewDid?.startsWith('did:web:') === true ? urlOfDidWeb(appviewDid) : undefined,
    now,
  })
  const notices = new ManifestNotices({
    layers,
    posts,
    moderation,
    stats,
    pullLimits: new PullLimits({ now }),
  })
  const moderate = stack.use(moderationJob({ moderation, layers }))
  return { stats, notices, flushStats: stack.use(flushStatsJob({ stats })), moderate }
}

/** What somebody else takes down. */
export async function createModeration(
  needs: Pick<HoldContext, 'config' | 'database' | 'identities'> & { now: Now },
  stack: AsyncDisposableStack,
): Promise<Pick<HoldContext, 'moderation' | 'labelFeed'>> {
  const { config, database, identities, now } = needs
  const { did, grace_window: graceWindowMs } = config.labeler
  const labelerDid = did === undefined ? undefined : normalizeDid(parseDid(did))
  const moderation = await Moderation.open({ database, labelerDid, graceWindowMs, now })
  if (labelerDid === undefined) return { moderation, labelFeed: undefined }
  const allowsPlainHttp = config.server.test_mode
  return {
    moderation,
    labelFeed: stack.use(new LabelFeed({ labelerDid, identities, moderation, allowsPlainHttp })),
  }
}

/** What sees to the picture of the hold's profile. */
export function createAvatar(
  needs: Pick<HoldContext, 'config' | 'repo' | 'pdsBlobs'> & { fetch: Fetch | undefined },
): () => Promise<boolean> {
  const { config, repo, pdsBlobs: blobs } = needs
  const { profile_avatar_url: url } = config.registration
  const outbound = { userAgent: `atcr-hold/${version}`, allowPrivateNetwork: config.server.test_mode }
  const fetch = needs.fetch ?? createOutboundFetch(outbound, { responseBytesMax: avatarBytesMax })
  return async () => url !== undefined && (await giveAvatar({ repo, blobs, fetch }, url))
}
