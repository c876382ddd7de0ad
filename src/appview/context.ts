import type { OAuthClient } from '../atproto/oauth-client.ts'
import { Identities } from '../atproto/identity.ts'
import { Firehoses } from '../atproto/firehose.ts'
import { oauthOrigin } from '../atproto/oauth-origin.ts'
import { identityTarget, observedFetch, observedTransfer, type ToldIds, type UpstreamTarget } from '../atproto/observed-fetch.ts' // prettier-ignore
import {
  createOutboundFetch,
  type Fetch,
  type MetadataLimits,
  type NearService,
} from '../atproto/outbound-fetch.ts'
import { createTransfer, type Transfer } from '../atproto/transfer.ts'
import { normalizeDid, parseDid, type Did } from '../atproto/syntax.ts'
import { systemNow, type Now } from '../lib/clock.ts'
import { openDatabase, type Database } from '../lib/database.ts'
import { libsqlOptions } from '../lib/libsql-database.ts'
import { LiveSettings } from '../lib/live-settings.ts'
import { logger, type Logger } from '../lib/log.ts'
import { networkList } from '../lib/networks.ts'
import { MemoryRateCounter } from '../lib/rate-counter.ts'
import { RequestLimits } from '../lib/request-limits.ts'
import { version } from '../lib/version.ts'
import { manifestSizeBytesMax } from '../protocol/oci/manifest.ts'
import { AppPasswordLogin } from './clients/app-password-login.ts'
import { HoldBlobsClient } from './clients/hold-blobs.ts'
import { HoldCaller } from './clients/hold-caller.ts'
import { HoldCrewClient } from './clients/hold-crew.ts'
import { HoldQuotasClient } from './clients/hold-quotas.ts'
import { HoldProbeClient } from './clients/hold-probe.ts'
import { HoldUserDataClient } from './clients/hold-user-data.ts'
import { HoldNotifierClient } from './clients/hold-notifier.ts'
import { HoldUploadsClient } from './clients/hold-uploads.ts'
import { PdsActorProfiles } from './clients/pds-actor-profiles.ts'
import { PdsManifestsClient } from './clients/pds-manifests.ts'
import { PdsOwnRecords } from './clients/pds-own-records.ts'
import { PdsProfiles } from './clients/pds-profiles.ts'
import { PdsReads } from './clients/pds-reads.ts'
import { RedisRateCounter } from './clients/redis-rate-counter.ts'
import { WebhookSenderClient } from './clients/webhook-sender.ts'
import { appViewPaths, type AppViewConfig } from './config.ts'
import { migrations } from './db/migrations.ts'
import type { AppViewTables } from './db/schema.ts'
import { Indexer } from './indexer/indexer.ts'
import { HoldHealthChecks } from './jobs/hold-health.ts'
import { DataDeletionRuns } from './jobs/data-deletion-runs.ts'
import { HoldPreparations } from './jobs/hold-preparations.ts'
import { HoldNotifications } from './jobs/hold-notifications.ts'
import { LoginSweep } from './jobs/login-sweep.ts'
import { PullDays } from './jobs/pull-days.ts'
import { PullNotices } from './jobs/pull-notices.ts'
import { SailorSetups } from './jobs/sailor-setups.ts'
import { SearchIndexing } from './jobs/search-indexing.ts'
import { UntaggedRemovals } from './jobs/untagged-removals.ts'
import { UploadSweep } from './jobs/upload-sweep.ts'
import { WebhookDeliveries } from './jobs/webhook-deliveries.ts'
import type { HoldBlobs } from './ports/hold-blobs.ts'
import type { HoldQuotas } from './ports/hold-quotas.ts'
import type { OAuthLogins } from './ports/oauth-logins.ts'
import { Avatars } from './services/avatars.ts'
import { BlobUploads } from './services/blob-uploads.ts'
import { Blobs } from './services/blobs.ts'
import { DataDeletions } from './services/data-deletions.ts'
import { DataExports } from './services/data-exports.ts'
import { DeviceGrants } from './services/device-grants.ts'
import { Devices } from './services/devices.ts'
import { Holds } from './services/holds.ts'
import { loadSealingKey } from './services/key-files.ts'
import { ImageConfigs } from './services/image-configs.ts'
import { Leases } from './services/leases.ts'
import { Listings } from './services/listings.ts'
import { LivePushes } from './services/live-pushes.ts'
import { LoginLimits } from './services/login-limits.ts'
import { ManifestLookup } from './services/manifest-lookup.ts'
import { ManifestStore } from './services/manifest-store.ts'
import { Manifests } from './services/manifests.ts'
import { OAuthAccounts } from './services/oauth-accounts.ts'
import { createOAuthStores } from './services/oauth-stores.ts'
import { appViewScope } from './services/oauth-scope.ts'
import { OwnRecords } from './services/own-records.ts'
import { PdsAccounts } from './services/pds-accounts.ts'
import { PdsSessions } from './services/pds-sessions.ts'
import { PushEvents } from './services/push-events.ts'
import { RefreshTokens } from './services/refresh-tokens.ts'
import { RegistryKeys } from './services/registry-keys.ts'
import { RegistryLogins } from './services/registry-logins.ts'
import { RegistryTokens } from './services/registry-tokens.ts'
import { RemoteImages, remoteImageBytesMax } from './services/remote-images.ts'
import { RemoteReadmes } from './services/remote-readmes.ts'
import { Repositories } from './services/repositories.ts'
import { SailorSettings } from './services/sailor-settings.ts'
import { RepositoryPages } from './services/repository-pages.ts'
import { Sealing } from './services/sealing.ts'
import { Search } from './services/search.ts'
import { ShownSums } from './services/shown-sums.ts'
import { SignOuts } from './services/sign-outs.ts'
import { Stars } from './services/stars.ts'
import { WebSessions } from './services/web-sessions.ts'
import { WebhookNews } from './services/webhook-news.ts'
import { Webhooks } from './services/webhooks.ts'

const userAgent = `atcr-appview/${version}`
/** Completing a big upload at a hold may mean reading all of it back. */
const holdTimeoutMs = 15 * 60_000
const pdsTimeoutMs = 30_000
/** Of what READMEs and pages show. */
const fileTimeoutMs = 10_000
/** A page of records when whole data repos are read; a server that cannot give so much is asked for less. */
const repoPageBytesMax = 16 * 1024 * 1024
const repoTimeoutMs = 60_000
const webhookTimeoutMs = 10_000
/** What a hold tells about an account. */
const exportTimeoutMs = 60_000
const exportBytesMax = 32 * 1024 * 1024
const signOutPatienceMs = 3000

/** What tests and the dev network put in place of the real thing. */
export interface AppViewOverrides {
  now?: Now
  /** Time as PDSes and holds see it, for what they check of our calls; `now` unless told. */
  callsNow?: Now
  /** For all calls to PDSes, directories and holds. */
  fetch?: Fetch
  /** For blob bytes. */
  transfer?: Transfer
  /** What people are asked to allow. */
  oauthScope?: string
  /** The hold that runs in the same process. */
  nearHold?: NearService
}

/** What is limited by the minute, as the settings call it. */
export type LimitName =
  | 'registry_reads'
  | 'registry_writes'
  | 'token_requests'
  | 'name_lookups'
  | 'searches'
  | 'pictures'

/** Everything the edges may use. Built here and nowhere else. */
export interface AppContext {
  /** As they were at the start. */
  config: AppViewConfig
  /** As they are now: some change while the AppView runs. */
  settings: LiveSettings<AppViewConfig>
  log: Logger
  now: Now
  db: Database<AppViewTables>
  identities: Identities
  /** For documents and XRPC calls to anyone. */
  fetch: Fetch
  pdsReads: PdsReads
  pdsAccounts: PdsAccounts
  pdsSessions: PdsSessions
  ownRecords: OwnRecords
  stars: Stars
  oauthLogins: OAuthLogins
  signOuts: SignOuts
  dataExports: DataExports
  dataDeletions: DataDeletions
  dataDeletionRuns: DataDeletionRuns
  sailorSetups: SailorSetups
  holdPreparations: HoldPreparations
  webSessions: WebSessions
  devices: Devices
  deviceGrants: DeviceGrants
  registryLogins: RegistryLogins
  refreshTokens: RefreshTokens
  registryTokens: RegistryTokens
  /** The token endpoint, as challenges name it. */
  tokenRealm: string
  repositories: Repositories
  manifests: Manifests
  manifestLookup: ManifestLookup
  imageConfigs: ImageConfigs
  pushEvents: PushEvents
  webhooks: Webhooks
  webhookDeliveries: WebhookDeliveries
  listings: Listings
  blobs: Blobs
  blobUploads: BlobUploads
  avatars: Avatars
  remoteImages: RemoteImages
  remoteReadmes: RemoteReadmes
  repositoryPages: RepositoryPages
  holds: Holds
  holdBlobs: HoldBlobs
  holdQuotas: HoldQuotas
  sailorSettings: SailorSettings
  notifications: HoldNotifications
  pullNotices: PullNotices
  pullDays: PullDays
  holdHealth: HoldHealthChecks
  untaggedRemovals: UntaggedRemovals
  indexer: Indexer
  searchIndexing: SearchIndexing
  search: Search
  shownSums: ShownSums
  livePushes: LivePushes
  limits: RequestLimits<LimitName>
  [Symbol.asyncDispose](): Promise<void>
}

/** Wires the AppView. Opens the database and makes key files that are missing; starts nothing. */
export async function createContext(
  config: AppViewConfig,
  overrides: AppViewOverrides = {},
): Promise<AppContext> {
  await using opened = new AsyncDisposableStack()
  const log = logger('appview')
  const settings = new LiveSettings(config)
  const now = overrides.now ?? systemNow
  const callsNow = overrides.callsNow ?? now
  const paths = appViewPaths(config, process.getuid?.() === 0)
  const service = new URL(config.server.base_url).host

  const limits = createLimits(settings, opened, now)
  const network = createNetwork(config, overrides)
  const identities = new Identities({
    fetch: network.metadata,
    plcUrl: config.identity.plc_directory_url,
    handleResolverUrl: config.identity.handle_resolver_url ?? null,
    now,
  })
  const location =
    config.ui.database_url === undefined
      ? { path: paths.database, libsql: libsqlOptions(config.ui) }
      : { url: config.ui.database_url }
  const db = await openDatabase<AppViewTables>(location, migrations)
  opened.defer(() => db.destroy())

  const keys = await RegistryKeys.open({
    paths: { key: paths.registryKey, certificate: paths.registryCertificate },
    commonName: service,
    now,
    log,
  })
  const registryTokens = new RegistryTokens({ keys, service, now })
  const sealing = new Sealing(await loadSealingKey(paths.sealingKey))
  const webSessions = new WebSessions({ db, sealing, now })
  const devices = new Devices({ db, identities, now })
  const deviceGrants = new DeviceGrants({ db, devices, identities, sealing, now })
  const pdsAccounts = new PdsAccounts({
    db,
    identities,
    login: new AppPasswordLogin({ fetch: network.pds }),
    limits: new LoginLimits({ now }),
    leases: new Leases({ db, now }),
    sealing,
    now,
  })

  const oauthLogins = createOAuth({
    config,
    network,
    db,
    sealing,
    now,
    scope: overrides.oauthScope ?? appViewScope,
  })
  const refreshTokens = new RefreshTokens({ db, devices, pdsAccounts, now })
  const pdsSessions = new PdsSessions({ oauthLogins, pdsAccounts })
  const signOuts = new SignOuts({
    db,
    webSessions,
    oauthLogins,
    pdsAccounts,
    refreshTokens,
    patienceMs: signOutPatienceMs,
    now,
  })
  const loginSweep = new LoginSweep({
    db,
    webSessions,
    deviceGrants,
    signOuts,
    log: logger('appview:logins'),
    now,
  })
  opened.use(loginSweep).start()

  const pdsReads = new PdsReads({ identities, fetch: network.pds })
  const ownRecords = new OwnRecords({
    db,
    pds: new PdsOwnRecords({ sessions: pdsSessions, reads: pdsReads }),
  })
  const caller = new HoldCaller({ sessions: pdsSessions, identities, fetch: network.hold, now: callsNow })
  const holdBlobs = new HoldBlobsClient({ caller, transfer: network.transfer, now: callsNow })
  const holdUploads = new HoldUploadsClient({ caller, transfer: network.transfer })
  const crew = new HoldCrewClient({ caller })
  const profiles = new PdsProfiles({ reads: pdsReads, sessions: pdsSessions, now })
  const defaultHoldDid = holdDid(config.server.default_hold_did)
  const managedHoldDids = config.server.managed_holds.map(holdDid)
  const holds = new Holds({
    db,
    crew,
    blobs: holdBlobs,
    profiles,
    defaultHoldDid,
    managedHoldDids,
    now,
  })
  const sailorSetups = opened.use(
    new SailorSetups({
      profiles,
      holds,
      defaultHoldDid,
      log: logger('appview:logins'),
      delayMs: 1000,
      onLogin: (did) => caller.noteLogin(did),
    }),
  )
  const holdUserData = new HoldUserDataClient({ caller, fetch: network.exports })
  const dataExports = new DataExports({
    db,
    holds: holdUserData,
    identities,
    defaultHoldDid,
    host: service,
    now,
  })
  const dataDeletionRuns: DataDeletionRuns = opened.use(
    new DataDeletionRuns({ deletions: () => dataDeletions, log: logger('appview:deletions') }),
  )
  const dataDeletions = new DataDeletions({
    db,
    holds: holdUserData,
    lists: pdsReads,
    pds: new PdsOwnRecords({ sessions: pdsSessions, reads: pdsReads }),
    sessions: pdsSessions,
    oauthLogins,
    pdsAccounts,
    webSessions,
    memory: holds,
    defaultHoldDid,
    onBegin: () => dataDeletionRuns.wake(),
    log: logger('appview:deletions'),
    now,
  })
  const repositories = new Repositories({ db, identities, now })
  const holdPreparations = opened.use(
    new HoldPreparations({ db, caller, holds, repositories, log: logger('appview:holds') }),
  )
  const blobs = new Blobs({ db, uploads: holdUploads, holds, now })
  const uploadMode = config.server.upload_mode
  const blobUploads = new BlobUploads({
    db,
    uploads: holdUploads,
    holds,
    uploadMode,
    get openCountMax() {
      const { enabled, open_uploads } = settings.current.limits
      return enabled ? open_uploads : 0
    },
    now,
  })

  const notifier = new HoldNotifierClient({ caller })
  const pullNotices = opened.use(new PullNotices({ notifier, log: logger('appview:pulls') }))
  pullNotices.start()
  const pullDays = opened.use(new PullDays({ db, now, log: logger('appview:pulls') }))
  pullDays.start()
  const notifications = new HoldNotifications({
    db,
    notifier,
    holds,
    log: logger('appview:notifications'),
    now,
  })
  opened.use(notifications)
  opened.use(new UploadSweep({ uploads: blobUploads, log: logger('appview:uploads') })).start()

  const store = new ManifestStore({ db })
  const pds = new PdsManifestsClient({ sessions: pdsSessions, reads: pdsReads })
  const lookup = new ManifestLookup({ db, pds, store, now })
  const onNotification = () => notifications.wake()
  const pushEvents = new PushEvents()
  const webhookDeliveries = opened.use(
    new WebhookDeliveries({
      db,
      sender: new WebhookSenderClient({ fetch: network.webhook }),
      sealing,
      log: logger('appview:webhooks'),
      now,
    }),
  )
  const webhookNews = new WebhookNews({
    baseUrl: config.server.base_url,
    onNews: () => webhookDeliveries.wake(),
    now,
  })
  pushEvents.subscribe(webhookNews)
  const webhooks = new Webhooks({
    db,
    sealing,
    allowsPrivate: config.server.test_mode,
    baseUrl: config.server.base_url,
    now,
  })
  const manifests = new Manifests({
    db,
    pds,
    lookup,
    store,
    blobs,
    holds,
    allowsSparseImages: config.server.allow_sparse_images,
    pushEvents,
    onNotification,
    now,
  })

  const untaggedRemovals = opened.use(
    new UntaggedRemovals({ db, manifests, log: logger('appview:untagged'), now }),
  )
  const holdHealth = opened.use(
    new HoldHealthChecks({
      db,
      probe: new HoldProbeClient({ identities, fetch: network.holdDocuments, now }),
      get intervalMs() {
        return settings.current.health.check_interval
      },
      log: logger('appview:health'),
      now,
    }),
  )

  const actorProfiles = new PdsActorProfiles({ reads: pdsReads })
  const ownHoldDids = [...new Set([defaultHoldDid, ...managedHoldDids])]
  const indexer = new Indexer({
    db,
    identities,
    getCaptain: (did) => crew.getCaptain(did),
    getActorProfile: (did) => actorProfiles.get(did),
    jetstreamUrls: config.jetstream.urls,
    firehose: new Firehoses({
      fetch: network.metadata,
      plcUrl: config.identity.plc_directory_url,
      near: overrides.nearHold,
      now,
    }),
    firehoses: [
      ...config.jetstream.firehose_urls.map((url) => ({ url })),
      ...ownHoldDids.map((did) => ({ did })),
    ],
    around: (tx, event, apply) => webhookNews.applyRecord(tx, event, apply),
    backfill: config.jetstream.backfill_enabled
      ? {
          relayUrls: config.jetstream.relay_endpoints,
          knownDids: ownHoldDids,
          fetch: network.repos,
        }
      : undefined,
    now,
    log: logger('appview:indexer'),
  })
  opened.use(indexer)

  const livePushes = opened.use(new LivePushes({ db, now, log: logger('appview:live') }))
  const searchIndexing = opened.use(new SearchIndexing({ db, log: logger('appview:search') }))

  const resources = opened.move()
  return {
    config,
    settings,
    log,
    now,
    db,
    identities,
    fetch: network.metadata,
    pdsReads,
    pdsAccounts,
    pdsSessions,
    ownRecords,
    stars: new Stars({ db, ownRecords, now }),
    oauthLogins,
    signOuts,
    dataExports,
    dataDeletions,
    dataDeletionRuns,
    sailorSetups,
    holdPreparations,
    webSessions,
    devices,
    deviceGrants,
    registryLogins: new RegistryLogins({ devices, pdsAccounts }),
    refreshTokens,
    registryTokens,
    tokenRealm: new URL('/auth/token', config.server.base_url).href,
    repositories,
    manifests,
    manifestLookup: lookup,
    imageConfigs: new ImageConfigs({ db, holds, blobs: holdBlobs, now }),
    pushEvents,
    listings: new Listings({ db, holds, requestOwner: (did) => indexer.requestBackfill(did) }),
    webhooks,
    webhookDeliveries,
    blobs,
    blobUploads,
    avatars: new Avatars({ db, pds: pdsReads, now }),
    remoteImages: new RemoteImages({ fetch: network.file, sealing, now }),
    remoteReadmes: new RemoteReadmes({ fetch: network.file, now }),
    repositoryPages: new RepositoryPages({ ownRecords, now }),
    holds,
    holdBlobs,
    holdQuotas: new HoldQuotasClient({ caller, fetch: network.holdDocuments }),
    sailorSettings: new SailorSettings({ ownRecords, holds, now }),
    notifications,
    pullNotices,
    pullDays,
    holdHealth,
    untaggedRemovals,
    indexer,
    searchIndexing,
    search: new Search({ db, now }),
    shownSums: new ShownSums({ db, now }),
    livePushes,
    limits,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function createLimits(
  settings: LiveSettings<AppViewConfig>,
  opened: AsyncDisposableStack,
  now: Now,
): RequestLimits<LimitName> {
  const url = settings.current.cache.redis_url?.reveal()
  const counter =
    url === undefined
      ? undefined
      : opened.use(
          new RedisRateCounter({
            url,
            fallback: new MemoryRateCounter({ now }),
            log: logger('appview:limits'),
          }),
        )
  const requestLimits = new RequestLimits<LimitName>({ ...(counter && { counter }), now })
  settings.watch(({ limits }) => {
    const { enabled: isEnabled, exempt_networks, open_uploads: _, ...perMinute } = limits
    const exempt = networkList('limits.exempt_networks', exempt_networks)
    return () => requestLimits.apply({ isEnabled, perMinute, exempt })
  })
  return requestLimits
}

/**
 * One guarded fetch for each kind of conversation: they differ in how long and how much, and in what the other side is
 * told of the request that asks: holds and PDSes can lay their logs beside ours, nobody else needs to.
 */
function createNetwork(config: AppViewConfig, overrides: AppViewOverrides) {
  const others = { userAgent, allowPrivateNetwork: config.server.test_mode }
  const outbound = { ...others, near: overrides.nearHold }
  const observed = (
    target: UpstreamTarget | ((url: string) => UpstreamTarget),
    tells: ToldIds,
    limits?: MetadataLimits,
  ) => {
    const fetch = overrides.fetch ?? createOutboundFetch(outbound, limits)
    return observedFetch(fetch, { program: 'appview', target, tells })
  }
  // These go where people say: never to this machine.
  const toStrangers = (target: UpstreamTarget, limits: MetadataLimits) => {
    const fetch = overrides.fetch ?? createOutboundFetch(others, limits)
    return observedFetch(fetch, { program: 'appview', target, tells: 'nothing' })
  }
  const pdsLimits = { timeoutMs: pdsTimeoutMs, responseBytesMax: manifestSizeBytesMax + 64 * 1024 }
  const transfer = overrides.transfer ?? createTransfer(outbound)
  return {
    metadata: observed(identityTarget(config.identity.plc_directory_url), 'nothing'),
    holdDocuments: observed('hold', 'request'),
    pds: observed('pds', 'trace', pdsLimits),
    repos: observed('pds', 'nothing', { timeoutMs: repoTimeoutMs, responseBytesMax: repoPageBytesMax }),
    hold: observed('hold', 'request', { timeoutMs: holdTimeoutMs }),
    file: toStrangers('other', { timeoutMs: fileTimeoutMs, responseBytesMax: remoteImageBytesMax }),
    // Of long answers only the beginning is read.
    webhook: toStrangers('webhook', {
      timeoutMs: webhookTimeoutMs,
      responseBytesMax: Number.MAX_SAFE_INTEGER,
    }),
    exports: observed('hold', 'request', { timeoutMs: exportTimeoutMs, responseBytesMax: exportBytesMax }),
    // The disk of a hold, or an object store, whose signature does not cover this header and so allows it.
    transfer: observedTransfer(transfer, { program: 'appview', target: 'storage', tells: 'trace' }),
  }
}

/** Signing in by OAuth. The client is made when it is first wanted: it takes its time to load. */
function createOAuth(needs: {
  config: AppViewConfig
  network: ReturnType<typeof createNetwork>
  db: Database<AppViewTables>
  sealing: Sealing
  now: Now
  scope: string
}): OAuthLogins {
  const { config, network, db, now, scope } = needs
  const publicUrl = config.server.base_url
  const stores = createOAuthStores(needs)
  const leases = new Leases({ db, now })
  const create = async (): Promise<OAuthClient> => {
    const { createOAuthClient } = await import('../atproto/oauth-client.ts')
    return createOAuthClient({
      publicUrl,
      clientName: config.server.client_name,
      scope,
      redirectPath: '/auth/oauth/callback',
      documentPaths: { metadataPath: '/oauth-client-metadata.json', jwksPath: '/oauth/jwks.json' },
      keyFile: appViewPaths(config, process.getuid?.() === 0).oauthKey,
      stores,
      lock: (did, action) => leases.run(`oauth session ${did}`, action),
      fetch: network.metadata,
      pdsFetch: network.pds,
      plcUrl: config.identity.plc_directory_url,
      handleResolverUrl: config.identity.handle_resolver_url ?? null,
      allowHttp: config.server.test_mode,
      now,
    })
  }
  let client: Promise<OAuthClient> | undefined
  return new OAuthAccounts({
    client: () =>
      (client ??= create().catch((error: unknown) => {
        client = undefined
        throw error
      })),
    sessions: stores.sessions,
    origin: oauthOrigin(new URL(publicUrl)),
    loginUrl: new URL('/auth/oauth/login', publicUrl).href,
    log: logger('appview:logins'),
  })
}

function holdDid(text: string): Did {
  return normalizeDid(parseDid(text))
}
