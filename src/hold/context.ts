import { hkdfSync, randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'

import { Identities } from '../atproto/identity.ts'
import type { OAuthClient } from '../atproto/oauth-client.ts'
import { OAuthMemoryStore } from '../atproto/oauth-memory-store.ts'
import { oauthOrigin } from '../atproto/oauth-origin.ts'
import { createOutboundFetch, type Fetch } from '../atproto/outbound-fetch.ts'
import { PlcDirectory } from '../atproto/plc-directory.ts'
import { ServiceAuth } from '../atproto/service-auth.ts'
import { normalizeDid, parseDid, urlOfDidWeb } from '../atproto/syntax.ts'
import { systemNow, type Now } from '../lib/clock.ts'
import { SettingsError } from '../lib/config.ts'
import { lockDatabase } from '../lib/database-lock.ts'
import { openDatabase, type Database } from '../lib/database.ts'
import { lockFolder } from '../lib/folder-lock.ts'
import { version } from '../lib/version.ts'
import { OwnerManifestsClient } from './clients/owner-manifests.ts'
import { XrpcRelays } from './clients/relays.ts'
import { relayUrls, type HoldConfig, type HoldPaths } from './config.ts'
import { holdMigrations, type HoldTables } from './db/schema.ts'
import { LabelFeed } from './jobs/label-feed.ts'
import { moderationJob } from './jobs/moderation-job.ts'
import { documentJob } from './jobs/document-job.ts'
import { gcJob } from './jobs/gc-jobs.ts'
import type { Periodic } from './jobs/periodic.ts'
import { crawlJob, pdsBlobJob } from './jobs/pds-jobs.ts'
import { flushStatsJob } from './jobs/stats-jobs.ts'
import { settleJob, sweepJob } from './jobs/storage-jobs.ts'
import { DocumentKeeper } from './pds/document-keeper.ts'
import { loadHoldIdentity, type HoldIdentity } from './pds/identity.ts'
import { backupMarkName, resumeFromBackup } from './pds/backup-mark.ts'
import { readIfThere, writeNewFile } from './pds/key-file.ts'
import { PdsBlobs } from './pds/blobs.ts'
import { Outbox } from './pds/outbox.ts'
import { HoldRepo } from './pds/repo.ts'
import type { BlobStore } from './ports/blob-store.ts'
import { Access } from './services/access.ts'
import { BlobVerification } from './services/blob-verification.ts'
import { Maintenance } from './services/maintenance.ts'
import { AdminLogins } from './services/admin-logins.ts'
import { AdminSessions } from './services/admin-sessions.ts'
import { AttemptLimits } from './services/attempt-limits.ts'
import { BlobSweep } from './services/blob-sweep.ts'
import { Blobs } from './services/blobs.ts'
import { UploadCapabilities } from './services/capabilities.ts'
import { christenHold, type NewHold } from './services/christening.ts'
import { CrawlRequests } from './services/crawl-requests.ts'
import { Crew } from './services/crew.ts'
import { DirectUploads } from './services/direct-uploads.ts'
import { GarbageCollection } from './services/garbage-collection.ts'
import { HoldSessions } from './services/hold-sessions.ts'
import { Layers } from './services/layers.ts'
import { ManifestAdoption } from './services/manifest-adoption.ts'
import { ManifestMarking } from './services/manifest-marking.ts'
import { Quotas } from './services/quotas.ts'
import { RecordWrites } from './services/record-writes.ts'
import { moveLegacyCrew } from './services/legacy-crew.ts'
import { ManifestNotices } from './services/manifest-notices.ts'
import { Moderation } from './services/moderation.ts'
import {
  OwnerRegistration,
  registrationCallbackPath,
  registrationPath,
  registrationScope,
} from './services/owner-registration.ts'
import { Posts } from './services/posts.ts'
import { avatarBytesMax, giveAvatar } from './services/profile-avatar.ts'
import { PullLimits } from './services/pull-limits.ts'
import { Reservations } from './services/reservations.ts'
import { RelayUploads } from './services/relay-uploads.ts'
import { RepoImport } from './services/repo-import.ts'
import { RunningHashes } from './services/running-hashes.ts'
import { Stats } from './services/stats.ts'
import { StoreSweep } from './services/store-sweep.ts'
import { KeyedLocks } from '../lib/keyed-locks.ts'
import { Slots } from '../lib/slots.ts'
import { StorageChecks } from './services/storage-health.ts'
import { Uploads } from './services/uploads.ts'
import { UserData } from './services/user-data.ts'
import { UsedTokens } from './services/used-tokens.ts'
import { FilesystemBlobStore } from './storage/filesystem-blob-store.ts'
import { UrlSigner } from './storage/url-signer.ts'

/** Parts on their way to S3 at once, over all uploads: this many times 8 MiB of memory. */
const partSlotCount = 8
const serviceTokenAgeSecondsMax = 300

/** A page of a hundred manifest records with all their layers. */
const ownerAnswerBytesMax = 16 * 1024 * 1024
const ownerAnswerMsMax = 30_000

/** What tests and the dev network put in place of the real thing. */
export interface HoldOverrides {
  fetch?: Fetch
  now?: Now
  store?: BlobStore
}

/** Everything a running hold is made of. Edges see it; services are given their needs by name. */
export interface HoldContext {
  config: HoldConfig
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
  /** Undefined where it is not enabled. */
  gcJob: Periodic | undefined
  storageHealth: StorageChecks
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
  loginLimits: AttemptLimits
}

/** Makes a hold's parts, and closes them in reverse. The only place that wires. @throws {SettingsError} */
export async function createContext(
  config: HoldConfig,
  paths: HoldPaths,
  overrides: HoldOverrides = {},
): Promise<HoldContext & AsyncDisposable> {
  const now = overrides.now ?? systemNow
  const publicUrl = config.server.public_url.replace(/\/+$/, '')
  await using stack = new AsyncDisposableStack()
  stack.use(lockFolder(dirname(paths.database)))
  const { test_mode: allowPrivateNetwork } = config.server
  const fetch =
    overrides.fetch ?? createOutboundFetch({ userAgent: `atcr-hold/${version}`, allowPrivateNetwork })
  const { identity, keeper } = await createIdentity({ config, paths, publicUrl, fetch })
  const plcUrl = config.database.plc_directory_url
  const handleResolverUrl = config.database.handle_resolver_url ?? null
  const identities = new Identities({ fetch, plcUrl, handleResolverUrl, now })
  const secret = await loadOrCreateSecret(paths.secretKey)
  const location = config.database.url === undefined ? { path: paths.database } : { url: config.database.url }
  const database = await openDatabase<HoldTables>(location, holdMigrations)
  stack.defer(() => database.destroy())
  if (database.dialect === 'postgres') stack.use(await lockDatabase(database))
  const { did, signingKey } = identity
  // Before the data repo is signed with a new key, so that nobody is shown what they cannot verify.
  const isDocumentNew = await keeper.settle()
  const repo = stack.use(await HoldRepo.open({ database, did, signingKey, now }))
  if (isDocumentNew) await repo.announceIdentity()
  await resumeFromBackup(repo, join(dirname(paths.database), backupMarkName), now)
  const outbox = stack.use(new Outbox({ sequencer: repo.sequencer }))
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
  await christenHold({ repo, crew, now }, newHold(config))
  const { moderation, labelFeed } = await createModeration({ config, database, identities, now }, stack)
  const access = new Access({ crew, moderation })
  const blobs = new Blobs({ database, store, moderation, now })
  const settle = stack.use(settleJob({ blobs }))
  const { quotas, reservations } = createQuotas({ config, database, crew, now })
  const onUnsettled = () => settle.kick()
  const uploads = new Uploads({ database, store, blobs, reservations, now, onUnsettled })
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

function createStorageChecks({ storage }: HoldConfig, paths: HoldPaths, store: BlobStore): StorageChecks {
  const { driver, bucket = '' } = storage
  return new StorageChecks({ store, driver, place: driver === 's3' ? bucket : paths.blobs })
}

const loginSecondsMax = 15 * 60

/** The admin panel: the captain and crew admins sign in at their own servers. */
function createAdmin(needs: {
  config: HoldConfig
  paths: HoldPaths
  publicUrl: string
  database: Database<HoldTables>
  fetch: Fetch
  now: Now
}): AdminPanel {
  const { config, paths, publicUrl, database, fetch, now } = needs
  const limits = { now, lifetimeSeconds: loginSecondsMax, entryCountMax: 1000 }
  let client: Promise<OAuthClient> | undefined
  const createClient = async (): Promise<OAuthClient> => {
    // Only now, because it takes its time to load, and most starts of a hold see no login.
    const { createOAuthClient } = await import('../atproto/oauth-client.ts')
    return createOAuthClient({
      publicUrl,
      clientName: `Hold ${new URL(publicUrl).host}`,
      scope: 'atproto',
      redirectPath: '/admin/oauth/callback',
      keyFile: paths.oauthKey,
      stores: { states: new OAuthMemoryStore(limits), sessions: new OAuthMemoryStore(limits) },
      fetch,
      plcUrl: config.database.plc_directory_url,
      handleResolverUrl: config.database.handle_resolver_url ?? null,
      allowHttp: config.server.test_mode,
    })
  }
  const oauth = () =>
    (client ??= createClient().catch((error: unknown) => {
      client = undefined
      throw error
    }))
  return {
    origin: oauthOrigin(new URL(publicUrl)),
    allowsPlainHttp: config.server.test_mode,
    oauth,
    logins: new AdminLogins({ client: oauth }),
    sessions: new AdminSessions({ database, now }),
    loginLimits: new AttemptLimits({ now, attemptCountMax: 20, windowSeconds: 600 }),
  }
}

/** Who the hold is, and what keeps its DID document true. */
async function createIdentity(needs: {
  config: HoldConfig
  paths: HoldPaths
  publicUrl: string
  fetch: Fetch
}): Promise<{ identity: HoldIdentity; keeper: DocumentKeeper }> {
  const { paths, publicUrl, fetch } = needs
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
  })
  return { identity, keeper: new DocumentKeeper({ identity, directory }) }
}

/** What a hold notes down about how it is used. */
function createBookkeeping(
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
    // Of another kind of DID the address would have to be asked for; posts do without.
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
async function createModeration(
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

/** What finds and deletes what nobody needs. */
function createGc(
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
    | 'store'
  > & { now: Now },
  fetch: Fetch | undefined,
  stack: AsyncDisposableStack,
) {
  const { config, identity, identities, database, store, blobs, layers, access, moderation, crew, now } =
    needs
  const { enabled, grace: graceMs, interval: intervalMs } = config.gc
  const outbound = { userAgent: `atcr-hold/${version}`, allowPrivateNetwork: config.server.test_mode }
  const limits = { timeoutMs: ownerAnswerMsMax, responseBytesMax: ownerAnswerBytesMax }
  const owners = new OwnerManifestsClient({
    identities,
    fetch: fetch ?? createOutboundFetch(outbound, limits),
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
  const manifestMarking = new ManifestMarking({ database, owners, layers, adoption, graceMs, now })
  const blobSweep = new BlobSweep({ database, store, blobs, graceMs, now })
  const storeSweep = new StoreSweep({ database, store, blobs, graceMs, now })
  const gc = stack.use(
    new GarbageCollection({ database, marking: manifestMarking, blobSweep, storeSweep, crew, now }),
  )
  const scheduledGc = enabled ? stack.use(gcJob({ gc, intervalMs })) : undefined
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

function createAvatar(
  needs: Pick<HoldContext, 'config' | 'repo' | 'pdsBlobs'> & { fetch: Fetch | undefined },
): () => Promise<boolean> {
  const { config, repo, pdsBlobs: blobs } = needs
  const { profile_avatar_url: url } = config.registration
  const outbound = { userAgent: 'atcr-hold/0.1.0', allowPrivateNetwork: config.server.test_mode }
  const fetch = needs.fetch ?? createOutboundFetch(outbound, { responseBytesMax: avatarBytesMax })
  return async () => url !== undefined && (await giveAvatar({ repo, blobs, fetch }, url))
}

/** How the hold gets into its owner's data repo. */
function createRegistration(
  needs: Pick<HoldContext, 'config' | 'publicUrl' | 'crew' | 'identities'> & {
    paths: HoldPaths
    fetch: Fetch
    now: Now
  },
): Pick<HoldContext, 'registration' | 'registrationClient'> {
  const { config, publicUrl, crew, identities, fetch, now } = needs
  const stores = { now, lifetimeSeconds: 3600, entryCountMax: 100 }
  let client: Promise<OAuthClient> | undefined
  const create = async (): Promise<OAuthClient> => {
    const { ownerDid } = await crew.getCaptain()
    // Takes its time to load, and few holds ever need it.
    const { createOAuthClient } = await import('../atproto/oauth-client.ts')
    return createOAuthClient({
      publicUrl,
      clientName: `Hold ${new URL(publicUrl).host}`,
      scope: registrationScope,
      redirectPath: registrationCallbackPath,
      documentsPath: `${registrationPath}/oauth`,
      keyFile: needs.paths.oauthKey,
      stores: { states: new OAuthMemoryStore(stores), sessions: new OAuthMemoryStore(stores) },
      fetch,
      plcUrl: config.database.plc_directory_url,
      // The owner is known by DID; his own server may say what it likes about handles.
      handleResolverUrl: (await identities.resolveDid(ownerDid)).pdsUrl ?? null,
      allowHttp: config.server.test_mode,
    })
  }
  const registrationClient = () =>
    (client ??= create().catch((error: unknown) => {
      client = undefined
      throw error
    }))
  return {
    registration: new OwnerRegistration({
      client: registrationClient,
      crew,
      identities,
      fetch,
      publicUrl,
      now,
    }),
    registrationClient,
  }
}

function createServiceAuth(needs: {
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

function createQuotas(needs: { config: HoldConfig; database: Database<HoldTables>; crew: Crew; now: Now }): {
  quotas: Quotas
  reservations: Reservations
} {
  const { database, crew, now } = needs
  const { tiers, defaults } = needs.config.quota
  const quotas = new Quotas({
    database,
    crew,
    tiers: tiers.map((tier) => ({
      name: tier.name,
      quotaBytes: tier.quota,
      isScannedOnPush: tier.scan_on_push,
    })),
    defaultTier: defaults.new_crew_tier,
  })
  const reservations = new Reservations({ database, quotas, users: new KeyedLocks(), now })
  return { quotas, reservations }
}

function newHold({ server, registration }: HoldConfig): NewHold {
  return {
    displayName: new URL(server.public_url).host,
    ownerDid: registration.owner_did,
    isPublic: server.public,
    allowAllCrew: registration.allow_all_crew,
    enableBlueskyPosts: registration.enable_bluesky_posts,
    region: registration.region,
    successorDid: server.successor,
  }
}

async function openStore(
  config: HoldConfig,
  paths: HoldPaths,
  signer: UrlSigner,
  stack: AsyncDisposableStack,
  override: BlobStore | undefined,
): Promise<Pick<HoldContext, 'store' | 'signedBlobs'>> {
  if (override !== undefined) return { store: override, signedBlobs: undefined }
  const { storage } = config
  if (storage.driver === 'filesystem') {
    const store = await FilesystemBlobStore.open({ folder: paths.blobs, signer })
    return { store, signedBlobs: { store, signer } }
  }
  return { store: stack.use(await openBucket(storage)), signedBlobs: undefined }
}

/**
 * A store without the hold around it, for commands that copy blobs. It signs no URLs. `beside` another process that owns
 * it, it is read only. @throws {SettingsError}
 */
export async function openStoreAlone(
  { storage, server }: HoldConfig,
  paths: HoldPaths,
  use: 'as owner' | 'beside',
): Promise<BlobStore & AsyncDisposable> {
  await using stack = new AsyncDisposableStack()
  if (storage.driver === 's3') {
    const bucket = stack.use(await openBucket(storage))
    const opened = stack.move()
    return Object.assign(bucket, { [Symbol.asyncDispose]: () => opened.disposeAsync() })
  }
  const signer = new UrlSigner({ baseUrl: server.public_url, key: randomBytes(32), now: systemNow })
  const needs = { folder: paths.blobs, signer }
  const store =
    use === 'beside' ? FilesystemBlobStore.openBeside(needs) : await FilesystemBlobStore.open(needs)
  return Object.assign(store, { [Symbol.asyncDispose]: async () => undefined })
}

async function openBucket(storage: HoldConfig['storage']): Promise<BlobStore & Disposable> {
  if (storage.bucket === undefined)
    throw new SettingsError(['storage.bucket: missing; the s3 driver needs it'])
  // Only now, because the SDK takes its time to load.
  const { S3BlobStore } = await import('./storage/s3-blob-store.ts')
  return new S3BlobStore({
    bucket: storage.bucket,
    region: storage.region,
    endpoint: storage.endpoint ?? null,
    accessKey: storage.access_key ?? null,
    secretKey: storage.secret_key ?? null,
    usesPathStyle: storage.path_style ?? storage.endpoint !== undefined,
    pullZone: storage.pull_zone ?? null,
  })
}

/** The one secret that the hold's own signatures come from; the file is made at first start, 0600. */
async function loadOrCreateSecret(path: string): Promise<Uint8Array> {
  const known = (await readIfThere(path))?.toString('utf8').trim()
  if (known !== undefined) {
    if (!/^[0-9a-f]{64}$/.test(known)) throw new SettingsError([`${path}: expected 64 hex digits`])
    return Buffer.from(known, 'hex')
  }
  const secret = randomBytes(32)
  await writeNewFile(path, `${secret.toString('hex')}\n`, 0o600)
  return secret
}

/** A key for one purpose, so that what is signed for one is worth nothing for another. */
function keyFor(secret: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, '', purpose, 32))
}
