import { dirname, join } from 'node:path'
import { Identities } from '../atproto/identity.ts'
import type { OAuthClient } from '../atproto/oauth-client.ts'
import { createOutboundFetch, type Fetch } from '../atproto/outbound-fetch.ts'
import { identityTarget, observedFetch } from '../atproto/observed-fetch.ts'
import type { ServiceAuth } from '../atproto/service-auth.ts'
import type { AttemptLimit } from '../lib/attempt-limit.ts'
import { systemNow, type Now } from '../lib/clock.ts'
import { lockDatabase } from '../lib/database-lock.ts'
import { openDatabase, type Database } from '../lib/database.ts'
import { lockFolder } from '../lib/folder-lock.ts'
import { libsqlOptions } from '../lib/libsql-database.ts'
import { LiveSettings } from '../lib/live-settings.ts'
import { KeyedLocks } from '../lib/keyed-locks.ts'
import { networkList } from '../lib/networks.ts'
import { RequestLimits } from '../lib/request-limits.ts'
import { Slots } from '../lib/slots.ts'
import { version } from '../lib/version.ts'
import { XrpcRelays } from './clients/relays.ts'
import { relayUrls, type HoldConfig, type HoldPaths } from './config.ts'
import { holdMigrations, type HoldTables } from './db/schema.ts'
import type { LabelFeed } from './jobs/label-feed.ts'
import { documentJob } from './jobs/document-job.ts'
import type { Periodic } from './jobs/periodic.ts'
import { crawlJob, pdsBlobJob } from './jobs/pds-jobs.ts'
import { settleJob, sweepJob } from './jobs/storage-jobs.ts'
import type { DocumentKeeper } from './pds/document-keeper.ts'
import type { DocumentService } from './pds/did-document.ts'
import { type HoldIdentity } from './pds/identity.ts'
import { backupMarkName, resumeFromBackup } from './pds/backup-mark.ts'
import { PdsBlobs } from './pds/blobs.ts'
import { Outbox } from './pds/outbox.ts'
import { HoldRepo } from './pds/repo.ts'
import type { BlobStore } from './ports/blob-store.ts'
import { Access } from './services/access.ts'
import type { AdminSessions } from './services/admin-sessions.ts'
import type { AdminLogins } from './services/admin-logins.ts'
import type { Maintenance } from './services/maintenance.ts'
import { Blobs } from './services/blobs.ts'
import { UploadCapabilities } from './services/capabilities.ts'
import { christenHold, type NewHold } from './services/christening.ts'
import { CrawlRequests } from './services/crawl-requests.ts'
import { Crew } from './services/crew.ts'
import { DirectUploads } from './services/direct-uploads.ts'
import type { GarbageCollection } from './services/garbage-collection.ts'
import { HoldSessions } from './services/hold-sessions.ts'
import { Layers } from './services/layers.ts'
import type { ManifestMarking } from './services/manifest-marking.ts'
import { Quotas } from './services/quotas.ts'
import { RecordWrites } from './services/record-writes.ts'
import { moveLegacyCrew } from './services/legacy-crew.ts'
import type { ManifestNotices } from './services/manifest-notices.ts'
import type { Moderation } from './services/moderation.ts'
import type { OwnerRegistration } from './services/owner-registration.ts'
import { Reservations } from './services/reservations.ts'
import { RelayUploads } from './services/relay-uploads.ts'
import { RepoImport } from './services/repo-import.ts'
import { RunningHashes } from './services/running-hashes.ts'
import type { Stats } from './services/stats.ts'
import type { StorageChecks } from './services/storage-health.ts'
import { Uploads } from './services/uploads.ts'
import { UserData } from './services/user-data.ts'
import { UsedTokens } from './services/used-tokens.ts'
import type { FilesystemBlobStore } from './storage/filesystem-blob-store.ts'
import { UrlSigner } from './storage/url-signer.ts'
import { createAvatar, createBookkeeping, createModeration } from './wiring/bookkeeping.ts'
import { createGc } from './wiring/gc.ts'
import { createIdentity, createServiceAuth } from './wiring/identity.ts'
import { createAdmin, createRegistration } from './wiring/oauth.ts'
import { keyFor, loadOrCreateSecret } from './wiring/secrets.ts'
import { createStorageChecks, openStore } from './wiring/stores.ts'

/** Parts on their way to S3 at once, over all uploads: this many times 8 MiB of memory. */
const partSlotCount = 8

/** What tests and the dev network put in place of the real thing. */
export interface HoldOverrides {
  fetch?: Fetch
  now?: Now
  store?: BlobStore
  /** Who else is at the hold's address, for its did:web document. */
  neighbours?: readonly DocumentService[]
}

/** What is limited by the minute, as the settings call it. */
export type HoldLimitName = 'xrpc_calls' | 'repo_exports'

/** Everything a running hold is made of. Edges see it; services are given their needs by name. */
export interface HoldContext {
  /** As they were at the start. */
  config: HoldConfig
  /** As they are now: some change while the hold runs. */
  settings: LiveSettings<HoldConfig>
  /** Without a slash at the end. */
  publicUrl: string
  database: Database<HoldTables>
  identity: HoldIdentity
  keeper: DocumentKeeper
  /** Everyone else. */
  identities: Identities
  repo: HoldRepo
  outbox: Outbox
  pdsBlobs: PdsBlobs
  recordWrites: RecordWrites
  repoImport: RepoImport
  crawlRequests: CrawlRequests
  store: BlobStore
  /** What the hold's own signed URLs need; undefined when the store has its own. */
  signedBlobs: { store: FilesystemBlobStore; signer: UrlSigner } | undefined
  serviceAuth: ServiceAuth
  sessions: HoldSessions
  access: Access
  crew: Crew
  blobs: Blobs
  layers: Layers
  quotas: Quotas
  userData: UserData
  uploads: Uploads
  relayUploads: RelayUploads
  directUploads: DirectUploads
  capabilities: UploadCapabilities
  moderation: Moderation
  /** Undefined when there is no labeler. */
  labelFeed: LabelFeed | undefined
  /** Sees to the picture of the profile. @throws {Error} when it cannot be had */
  giveAvatar: () => Promise<boolean>
  registration: OwnerRegistration
  /** The OAuth client of the registration, made when it is asked for first. */
  registrationClient: () => Promise<OAuthClient>
  stats: Stats
  notices: ManifestNotices
  gc: GarbageCollection
  manifestMarking: ManifestMarking
  maintenance: Maintenance
  gcJob: Periodic
  storageHealth: StorageChecks
  limits: RequestLimits<HoldLimitName>
  /** Undefined when it is switched off. */
  admin: AdminPanel | undefined
  now: Now
  jobs: {
    settle: Periodic
    sweep: Periodic
    document: Periodic
    flushStats: Periodic
    crawl: Periodic
    moderation: Periodic
  }
}

/** What the admin panel has for itself. */
export interface AdminPanel {
  /** Where it is in browsers: see {@link OAuthClient.origin}. */
  origin: string
  /** Whether people's servers may be on plain http: development only. */
  allowsPlainHttp: boolean
  /** Made when it is first wanted, with its key. */
  oauth: () => Promise<OAuthClient>
  logins: AdminLogins
  sessions: AdminSessions
  loginLimit: AttemptLimit
}

/** Makes a hold's parts, and closes them in reverse; with `wiring/`, the only place that wires. @throws {SettingsError} */
export async function createContext(
  config: HoldConfig,
  paths: HoldPaths,
  overrides: HoldOverrides = {},
): Promise<HoldContext & AsyncDisposable> {
  const now = overrides.now ?? systemNow
  const settings = new LiveSettings(config)
  const publicUrl = config.server.public_url.replace(/\/+$/, '')
  await using stack = new AsyncDisposableStack()
  stack.use(lockFolder(dirname(paths.database)))
  const { test_mode: allowPrivateNetwork } = config.server
  const fetch = observedFetch(
    overrides.fetch ?? createOutboundFetch({ userAgent: `atcr-hold/${version}`, allowPrivateNetwork }),
    { program: 'hold', target: identityTarget(config.database.plc_directory_url), tells: 'nothing' },
  )
  const { identity, keeper } = await createIdentity({
    config,
    paths,
    publicUrl,
    fetch,
    neighbours: overrides.neighbours ?? [],
  })
  const plcUrl = config.database.plc_directory_url
  const handleResolverUrl = config.database.handle_resolver_url ?? null
  const identities = new Identities({ fetch, plcUrl, handleResolverUrl, now })
  const secret = await loadOrCreateSecret(paths.secretKey)
  const location =
    config.database.url === undefined
      ? { path: paths.database, libsql: libsqlOptions(config.database) }
      : { url: config.database.url }
  const database = await openDatabase<HoldTables>(location, holdMigrations)
  stack.defer(() => database.destroy())
  if (database.dialect === 'postgres') stack.use(await lockDatabase(database))
  const { did, signingKey } = identity
  // Before the data repo is signed with a new key, so that nobody is shown what they cannot verify.
  const isDocumentNew = await keeper.settle()
  const repo = stack.use(await HoldRepo.open({ database, did, signingKey, now }))
  if (isDocumentNew) await repo.announceIdentity()
  await resumeFromBackup(repo, join(dirname(paths.database), backupMarkName), now)
  const outbox = stack.use(
    new Outbox({
      sequencer: repo.sequencer,
      get perNetworkMax() {
        const { enabled, subscriptions_per_address } = settings.current.limits
        return enabled ? subscriptions_per_address : 0
      },
    }),
  )
  const pdsBlobs = new PdsBlobs({ database, repo, now })
  stack.use(pdsBlobJob({ pdsBlobs }))
  const crawlRequests = new CrawlRequests({
    database,
    relays: new XrpcRelays({ fetch }),
    urls: relayUrls(config),
    hostname: new URL(publicUrl).host,
    did,
    now,
  })
  const crawl = stack.use(crawlJob({ crawlRequests }))

  const signer = new UrlSigner({ baseUrl: publicUrl, key: keyFor(secret, 'signed urls'), now })
  const { store, signedBlobs } = await openStore(config, paths, signer, stack, overrides.store)
  const crew = new Crew({ repo, now })
  await moveLegacyCrew(repo)
  await christenHold({ repo, crew, identities, now }, newHold(config))
  const { moderation, labelFeed } = await createModeration({ config, database, identities, now }, stack)
  const access = new Access({ crew, moderation })
  const blobs = new Blobs({ database, store, moderation, now })
  const settle = stack.use(settleJob({ blobs }))
  const { quotas, reservations } = createQuotas({ settings, database, crew, now })
  const onUnsettled = () => settle.kick()
  const uploads = new Uploads({
    database,
    store,
    blobs,
    reservations,
    get openCountMax() {
      const { enabled, open_uploads } = settings.current.limits
      return enabled ? open_uploads : 0
    },
    now,
    onUnsettled,
  })
  const usedTokens = new UsedTokens({ database, now })
  const sweep = stack.use(sweepJob({ uploads, reservations, usedTokens }))
  const document = stack.use(documentJob({ keeper, repo }))
  const directUploads = new DirectUploads({
    database,
    uploads,
    reservations,
    access,
    blobs,
    store,
    hashes: new RunningHashes(),
    slots: new Slots(partSlotCount),
  })
  const layers = new Layers({ database, repo, blobs, reservations, now })
  const { stats, notices, flushStats, moderate } = createBookkeeping(
    { config, identities, crew, database, repo, layers, moderation, now },
    stack,
  )
  const registering = createRegistration({ config, paths, publicUrl, crew, identities, fetch, now })
  const { gc, manifestMarking, maintenance, scheduledGc } = createGc(
    {
      registration: registering.registration,
      config,
      settings,
      identity,
      publicUrl,
      database,
      store,
      blobs,
      layers,
      crew,
      access,
      moderation,
      identities,
      now,
    },
    overrides.fetch,
    stack,
  )
  const context: HoldContext = {
    config,
    settings,
    publicUrl,
    database,
    identity,
    keeper,
    identities,
    repo,
    outbox,
    pdsBlobs,
    recordWrites: new RecordWrites({ repo, crew, access }),
    repoImport: new RepoImport({ repo, crew, layers, stats }),
    crawlRequests,
    store,
    signedBlobs,
    serviceAuth: createServiceAuth({ identity, identities, usedTokens, now }),
    sessions: new HoldSessions({ key: keyFor(secret, 'hold sessions'), now }),
    access,
    crew,
    blobs,
    layers,
    quotas,
    userData: new UserData({ database, repo, crew, layers, stats }),
    uploads,
    relayUploads: new RelayUploads({ database, access, uploads, reservations, store, blobs }),
    directUploads,
    capabilities: new UploadCapabilities(keyFor(secret, 'upload capabilities')),
    giveAvatar: createAvatar({ config, repo, pdsBlobs, fetch: overrides.fetch }),
    ...registering,
    moderation,
    labelFeed,
    stats,
    notices,
    gc,
    manifestMarking,
    maintenance,
    gcJob: scheduledGc,
    storageHealth: createStorageChecks(config, paths, store),
    limits: createLimits(settings, now),
    admin: config.admin.enabled ? createAdmin({ config, paths, publicUrl, database, fetch, now }) : undefined,
    now,
    jobs: {
      settle,
      sweep,
      document,
      flushStats,
      crawl,
      moderation: moderate,
    },
  }
  const owned = stack.move()
  return { ...context, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function createLimits(settings: LiveSettings<HoldConfig>, now: Now): RequestLimits<HoldLimitName> {
  const requestLimits = new RequestLimits<HoldLimitName>({ now })
  settings.watch(({ limits }) => {
    const { enabled: isEnabled, exempt_networks, xrpc_calls, repo_exports } = limits
    const exempt = networkList('limits.exempt_networks', exempt_networks)
    return () => requestLimits.apply({ isEnabled, perMinute: { xrpc_calls, repo_exports }, exempt })
  })
  return requestLimits
}

function createQuotas(needs: {
  settings: LiveSettings<HoldConfig>
  database: Database<HoldTables>
  crew: Crew
  now: Now
}): {
  quotas: Quotas
  reservations: Reservations
} {
  const { database, crew, now, settings } = needs
  const quotas = new Quotas({
    database,
    crew,
    get tiers() {
      return settings.current.quota.tiers.map((tier) => ({
        name: tier.name,
        quotaBytes: tier.quota,
        isScannedOnPush: tier.scan_on_push,
      }))
    },
    get defaultTier() {
      return settings.current.quota.defaults.new_crew_tier
    },
  })
  const reservations = new Reservations({ database, quotas, users: new KeyedLocks(), now })
  return { quotas, reservations }
}

function newHold({ server, registration }: HoldConfig): NewHold {
  return {
    displayName: new URL(server.public_url).host,
    owner: registration.owner_did,
    isPublic: server.public,
    allowAllCrew: registration.allow_all_crew,
    enableBlueskyPosts: registration.enable_bluesky_posts,
    region: registration.region,
    successorDid: server.successor,
  }
}
