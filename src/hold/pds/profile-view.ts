import * as profile from '../../protocol/lexicon/generated/app/bsky/actor/profile.ts'
import * as post from '../../protocol/lexicon/generated/app/bsky/feed/post.ts'
import { plainBlob } from '../../protocol/lexicon/record.ts'
import type { PdsContext } from './context.ts'

/** The hold as Bluesky clients show an account: from its profile record, or bare when there is none that can be read. */
export async function profileView({ repo, identity }: PdsContext) {
  const { did } = identity
  const stored = await repo.findRecord(profile.$nsid, 'self')
  const read = profile.$safeParse(stored?.value)
  const { displayName, description, avatar, banner, createdAt } = read.success ? read.value : {}
  const urlOf = (blob: typeof avatar) => {
    if (blob === undefined) return undefined
    const url = new URL('/xrpc/com.atproto.sync.getBlob', identity.publicUrl)
    url.search = String(new URLSearchParams({ did, cid: plainBlob(blob).cid }))
    return url.href as `${string}:${string}`
  }
  return {
    did,
    // What the protocol says in place of a handle that does not resolve.
    handle: identity.handle ?? ('handle.invalid' as const),
    displayName,
    description,
    avatar: urlOf(avatar),
    banner: urlOf(banner),
    followersCount: 0,
    followsCount: 0,
    postsCount: await repo.countRecords(post.$nsid),
    createdAt,
    labels: [],
  }
}
