import { normalizeDid, parseDid } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { SettingsError } from '../../lib/config.ts'
import { logger } from '../../lib/log.ts'
import { buildCaptainRecord, captainCollection, captainRkey } from '../../protocol/lexicon/captain-record.ts'
import * as profileSchema from '../../protocol/lexicon/generated/app/bsky/actor/profile.ts'
import type { HoldRepo } from '../pds/repo.ts'
import type { Crew } from './crew.ts'

const log = logger('hold')

/** As Bluesky has it. */
const displayNameLengthMax = 64

/** What the settings say about a hold that is new. */
export interface NewHold {
  /** What people call it until the captain changes the profile. */
  displayName: string
  ownerDid: string | undefined
  isPublic: boolean
  allowAllCrew: boolean
  enableBlueskyPosts: boolean
  region: string | undefined
  successorDid: string | undefined
}

/**
 * At first start: who the captain is, a profile, and the captain as first of the crew. Afterwards the records rule.
 * @throws {SettingsError} when a new hold is not told its captain
 */
export async function christenHold(
  { repo, crew, now }: { repo: Pick<HoldRepo, 'applyWrites'>; crew: Crew; now: Now },
  hold: NewHold,
): Promise<void> {
  let ownerDid = (await crew.findCaptain())?.ownerDid
  if (ownerDid === undefined) {
    if (hold.ownerDid === undefined) {
      throw new SettingsError(['registration.owner_did: missing; a new hold needs to know its captain'])
    }
    const captain = buildCaptainRecord({
      ownerDid: normalizeDid(parseDid(hold.ownerDid)),
      isPublic: hold.isPublic,
      allowAllCrew: hold.allowAllCrew,
      enableBlueskyPosts: hold.enableBlueskyPosts,
      deployedAt: now(),
      ...(hold.region === undefined ? {} : { region: hold.region }),
      successorDid: hold.successorDid,
    })
    const profile = {
      displayName: hold.displayName.slice(0, displayNameLengthMax),
      description: 'A hold of ATCR: it keeps container images.',
      createdAt: now().toISOString(),
    }
    // One commit: a profile that the captain has deleted later does not come back.
    await repo.applyWrites([
      { action: 'put', collection: captainCollection, rkey: captainRkey, record: captain },
      { action: 'put', collection: profileSchema.$nsid, rkey: 'self', record: profile },
    ])
    ownerDid = (await crew.getCaptain()).ownerDid
    log.info({ captain: ownerDid }, 'a new hold')
  }
  // Apart from the above, so that a start that was cut in between is made good by the next.
  if ((await crew.find(ownerDid)) === undefined) {
    await crew.admit(ownerDid, { role: 'owner', permissions: ['blob:read', 'blob:write', 'crew:admin'] })
  }
}
