import { observedFetch } from '../../atproto/observed-fetch.ts'
import { createOutboundFetch, type Fetch } from '../../atproto/outbound-fetch.ts'
import type { Now } from '../../lib/clock.ts'
import { version } from '../../lib/version.ts'
import { OwnerManifestsClient } from '../clients/owner-manifests.ts'
import type { HoldContext } from '../context.ts'
import { gcJob } from '../jobs/gc-jobs.ts'
import { BlobSweep } from '../services/blob-sweep.ts'
import { BlobVerification } from '../services/blob-verification.ts'
import { GarbageCollection } from '../services/garbage-collection.ts'
import { LegacyLayers } from '../services/legacy-layers.ts'
import { Maintenance } from '../services/maintenance.ts'
import { ManifestAdoption } from '../services/manifest-adoption.ts'
import { ManifestMarking } from '../services/manifest-marking.ts'
import { StoreSweep } from '../services/store-sweep.ts'

/** A page of a hundred manifest records with all their layers. */
const ownerAnswerBytesMax = 16 * 1024 * 1024
const ownerAnswerMsMax = 30_000

/** What finds and deletes what nobody needs. */
export function createGc(
  needs: Pick<
    HoldContext,
    | 'access'
    | 'blobs'
    | 'config'
    | 'crew'
    | 'database'
    | 'identities'
    | 'identity'
    | 'layers'
    | 'moderation'
    | 'publicUrl'
    | 'registration'
    | 'settings'
    | 'store'
  > & { now: Now },
  fetch: Fetch | undefined,
  stack: AsyncDisposableStack,
) {
  const {
    config,
    settings,
    identity,
    identities,
    database,
    store,
    blobs,
    layers,
    access,
    moderation,
    crew,
    now,
  } = needs
  const outbound = { userAgent: `atcr-hold/${version}`, allowPrivateNetwork: config.server.test_mode }
  const limits = { timeoutMs: ownerAnswerMsMax, responseBytesMax: ownerAnswerBytesMax }
  const owners = new OwnerManifestsClient({
    identities,
    fetch: observedFetch(fetch ?? createOutboundFetch(outbound, limits), {
      program: 'hold',
      target: 'pds',
      tells: 'trace',
    }),
  })
  const { publicUrl } = needs
  const adoption = new ManifestAdoption({
    owners,
    layers,
    access,
    moderation,
    holdDid: identity.did,
    publicUrl,
  })
  const legacyLayers = new LegacyLayers({ database, owners, layers, holdDid: identity.did })
  const manifestMarking = new ManifestMarking({
    database,
    owners,
    layers,
    adoption,
    legacyLayers,
    get graceMs() {
      return settings.current.gc.grace
    },
    now,
  })
  const blobSweep = new BlobSweep({
    database,
    store,
    blobs,
    get graceMs() {
      return settings.current.gc.grace
    },
    now,
  })
  const storeSweep = new StoreSweep({
    database,
    store,
    blobs,
    get graceMs() {
      return settings.current.gc.grace
    },
    now,
  })
  const gc = stack.use(
    new GarbageCollection({ database, marking: manifestMarking, blobSweep, storeSweep, crew, now }),
  )
  const scheduledGc = stack.use(gcJob({ gc, settings: () => settings.current.gc }))
  const verification = new BlobVerification({ database, store })
  const maintenance = new Maintenance({
    gc,
    verification,
    storeSweep,
    layers,
    registration: needs.registration,
  })
  return { gc, manifestMarking, maintenance, scheduledGc }
}
