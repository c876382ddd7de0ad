import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { collectBytes } from '../../lib/streams.ts'
import * as profile from '../../protocol/lexicon/generated/app/bsky/actor/profile.ts'
import { HoldError } from '../errors.ts'
import type { PdsBlobs } from '../pds/blobs.ts'
import type { HoldRepo } from '../pds/repo.ts'

/** As the lexicon of profiles has it. */
export const avatarBytesMax = 1_000_000

interface Needs {
  repo: Pick<HoldRepo, 'findRecord' | 'applyWrites'>
  blobs: Pick<PdsBlobs, 'put'>
  fetch: Fetch
}

/**
 * Fetches a picture and puts it into the profile, while that has none; whether it did. A profile that the captain took
 * away stays away, and a picture he chose stays.
 * @throws {HoldError} `request_invalid` when there is no PNG or JPEG of at most a megabyte
 */
export async function giveAvatar({ repo, blobs, fetch }: Needs, url: string): Promise<boolean> {
  const before = await repo.findRecord(profile.$nsid, 'self')
  if (before === undefined || before.value['avatar'] !== undefined) return false
  const response = await fetch(url, { headers: { accept: 'image/png, image/jpeg' } })
  if (!response.ok || response.body === null) {
    await response.body?.cancel()
    throw new HoldError('request_invalid', `the avatar could not be fetched: status ${response.status}`)
  }
  const bytes = await collectBytes(response.body, avatarBytesMax)
  const mimeType = imageTypeOf(bytes)
  if (mimeType === undefined) throw new HoldError('request_invalid', 'the avatar is neither PNG nor JPEG')
  const avatar = await blobs.put(once(bytes), mimeType)
  // The captain may have been quicker.
  const present = await repo.findRecord(profile.$nsid, 'self')
  if (present === undefined || present.value['avatar'] !== undefined) return false
  await repo.applyWrites([
    { action: 'put', collection: profile.$nsid, rkey: 'self', record: { ...present.value, avatar } },
  ])
  return true
}

/** By the bytes: what a server calls them is a claim. */
function imageTypeOf(bytes: Uint8Array): string | undefined {
  const begins = (...wanted: number[]) => wanted.every((byte, index) => bytes[index] === byte)
  if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return 'image/png'
  return begins(0xff, 0xd8, 0xff) ? 'image/jpeg' : undefined
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
