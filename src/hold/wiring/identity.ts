import type { Identities } from '../../atproto/identity.ts'
import type { Fetch } from '../../atproto/outbound-fetch.ts'
import { PlcDirectory } from '../../atproto/plc-directory.ts'
import { ServiceAuth } from '../../atproto/service-auth.ts'
import type { Now } from '../../lib/clock.ts'
import type { HoldConfig, HoldPaths } from '../config.ts'
import { DocumentKeeper } from '../pds/document-keeper.ts'
import type { DocumentService } from '../pds/did-document.ts'
import { loadHoldIdentity, type HoldIdentity } from '../pds/identity.ts'
import type { UsedTokens } from '../services/used-tokens.ts'

const serviceTokenAgeSecondsMax = 300

/** Who the hold is, and what keeps its DID document true. */
export async function createIdentity(needs: {
  config: HoldConfig
  paths: HoldPaths
  publicUrl: string
  fetch: Fetch
  neighbours: readonly DocumentService[]
}): Promise<{ identity: HoldIdentity; keeper: DocumentKeeper }> {
  const { paths, publicUrl, fetch, neighbours } = needs
  const { did, did_method: didMethod, plc_directory_url: url } = needs.config.database
  const directory = new PlcDirectory({ fetch, url })
  const identity = await loadHoldIdentity({
    publicUrl: new URL(publicUrl),
    did: did ?? null,
    didMethod,
    didPath: paths.did,
    keyPath: paths.signingKey,
    rotationKeyPath: paths.rotationKey,
    directory,
    neighbours,
  })
  return { identity, keeper: new DocumentKeeper({ identity, directory }) }
}

/** What checks the service tokens of those who call. */
export function createServiceAuth(needs: {
  identity: HoldIdentity
  identities: Identities
  usedTokens: UsedTokens
  now: Now
}): ServiceAuth {
  const { identity, identities, usedTokens, now } = needs
  return new ServiceAuth({
    identities,
    // The last for those who leave the colon of a port as it is.
    audiences: [identity.did, `${identity.did}#atcr_hold`, identity.did.replace('%3A', ':')],
    replayStore: usedTokens,
    maxAgeSeconds: serviceTokenAgeSecondsMax,
    now,
  })
}
