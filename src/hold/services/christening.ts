import { AtprotoError } from '../../atproto/errors.ts'
import type { Identities } from '../../atproto/identity.ts'
import { isDid, normalizeDid, parseHandle, type Did } from '../../atproto/syntax.ts'
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

type Lookup = Pick<Identities, 'resolveActor'>

/** What the settings say about a hold that is new. */
export interface NewHold {
  /** What people call it until the captain changes the profile. */
  displayName: string
  /** DID or handle of the captain. */
  owner: string | undefined
  isPublic: boolean
  allowAllCrew: boolean
  enableBlueskyPosts: boolean
  region: string | undefined
  successorDid: string | undefined
}

/**
 * At first start: who the captain is, a profile, and the captain as first of the crew. Afterwards the records rule.
 * @throws {SettingsError} when a new hold is not told its captain, or one whom nobody knows
 */
export async function christenHold(
  needs: { repo: Pick<HoldRepo, 'applyWrites'>; crew: Crew; identities: Lookup; now: Now },
  hold: NewHold,
): Promise<void> {
  const { repo, crew, now } = needs
  let ownerDid = (await crew.findCaptain())?.ownerDid
  if (ownerDid === undefined) {
    if (hold.owner === undefined) {
      throw new SettingsError(['registration.owner_did: missing; a new hold needs to know its captain'])
    }
    const captain = buildCaptainRecord({
      ownerDid: await findOwner(hold.owner, needs.identities),
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

/** A handle counts when it leads to an account that says so itself: the captain of a hold is kept for good. */
async function findOwner(owner: string, identities: Lookup): Promise<Did> {
  if (isDid(owner)) return normalizeDid(owner)
  const failure = (why: string) =>
    new SettingsError([`the owner ${JSON.stringify(owner)} ${why}; a DID (did:plc:…) does as well`])
  try {
    const handle = parseHandle(owner.replace(/^@/, ''))
    const identity = await identities.resolveActor(handle)
    if (identity.handle === handle) return identity.did
  } catch (error) {
    if (!(error instanceof AtprotoError)) throw error
    if (error.code === 'unreachable') throw failure(`cannot be looked up just now: ${error.message}`)
  }
  throw failure('is no handle that leads to an account: see how it is spelled')
}
