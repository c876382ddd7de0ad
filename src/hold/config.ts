import { dirname, join } from 'node:path'

import { z } from 'zod'

import { duration, secret, size, type SettingsDeclaration } from '../lib/config.ts'
import { drainDelaySetting, logShipperSettings, metricsSettings } from '../lib/operation-settings.ts'
import { actor, did, isPlainHttpElsewhere, libsqlContradictions, listenAddress, networks, origin } from '../lib/settings-types.ts' // prettier-ignore

const storage = z
  .object({
    driver: z.enum(['filesystem', 's3']).default('filesystem').describe('Where blobs are kept.'),
    path: z.string().optional().describe('filesystem: folder of the blobs. Default: blobs in the data folder.'), // prettier-ignore
    access_key: z.string().optional().describe('s3: access key. Without it, instance roles and the like are tried.'), // prettier-ignore
    secret_key: secret().optional().describe('s3: secret key.'),
    region: z.string().default('us-east-1').describe('s3: region of the bucket.'),
    bucket: z.string().optional().describe('s3: name of the bucket.'),
    endpoint: z.url().optional().describe('s3: address of the store, unless it is Amazon. Its host must not be that of the registry or the hold.'), // prettier-ignore
    path_style: z.boolean().optional().describe('s3: bucket in the path of URLs rather than in the host name. Default: yes with an endpoint, else no.'), // prettier-ignore
    pull_zone: z.url().optional().describe('s3: origin of a CDN in front of the bucket, for downloads.'),
  })
  .prefault({})
  .describe('Blobs.')

/** One address, several with commas between, or the word `none`: a list. */
const relays = z
  .string()
  .refine(
    (text) =>
      text === 'none' || listed(text).every((url) => /^https?:$/.test(URL.parse(url)?.protocol ?? '')),
    {
      error: 'expected addresses of relays, or none',
    },
  )
  .transform((text) => (text === 'none' ? [] : listed(text)))
  .optional()

const server = z
  .object({
    addr: listenAddress().default(':8080').describe('Where it listens: `:8080` is every interface, `127.0.0.1:8080` one.'), // prettier-ignore
    public_url: origin().describe('Where others reach it. Makes the did:web of the hold.'),
    public: z.boolean().default(false).describe('Anyone may read.'),
    successor: did().optional().describe('DID of the hold to use in place of this one. Read at first start only; afterwards the captain record says it.'), // prettier-ignore
    relay_endpoint: relays.describe('Relays that are asked to crawl the data repo: addresses with commas between, or `none`. Default: https://bsky.network when public_url is https; none in test_mode.'), // prettier-ignore
    appview_did: did().optional().describe('DID of the AppView this hold belongs to: it may move crew between quota tiers, and posts link to its pages.'), // prettier-ignore
    trusted_proxies: networks().default([]).describe('Addresses and networks of proxies before this hold, such as 127.0.0.1 or 10.0.0.0/8: what their X-Forwarded-For says counts for limits.'), // prettier-ignore
    test_mode: z.boolean().default(false).describe('Development only: allows plain HTTP and private addresses.'), // prettier-ignore
    legacy_lxm: z.array(z.string()).default([]).describe('Methods whose service tokens are accepted for every method of pushes and pulls: some AppViews ask for one only.'), // prettier-ignore
  })
  .describe('The hold itself.')

const registration = z
  .object({
    owner_did: actor().optional().describe('DID or handle of the captain. Needed at first start.'),
    allow_all_crew: z.boolean().default(false).describe('Anyone who asks becomes crew.'),
    region: z.string().max(64).optional().describe('Where the hold is, as shown to people.'),
    enable_bluesky_posts: z
      .boolean()
      .default(false)
      .describe(
        'The hold posts about pushed tags on Bluesky, a few an hour; the captain record decides once it is there.',
      ),
    profile_avatar_url: z.url().optional().describe('PNG or JPEG, a megabyte at most, for the profile of the hold while that has no picture.'), // prettier-ignore
    write_owner_records: z.boolean().default(false).describe("At start, ask the owner to let the hold register in his data repo, for older AppViews: the log has the address to visit."), // prettier-ignore
  })
  .prefault({})
  .describe('Whose hold it is. The records in its data repo, once there, win over these.')

const database = z
  .object({
    path: z.string().optional().describe('SQLite file; its folder is the data folder. Default: /var/lib/atcr/hold.db, or ./data/hold.db when not root.'), // prettier-ignore
    url: z.string().optional().describe('postgres://… in place of the file.'),
    libsql_sync_url: z.url({ protocol: /^(?:libsql|https?)$/ }).optional().describe('libSQL server, such as libsql://name.turso.io, that the file is a replica of: reads are local, writes go there. For one hold alone.'), // prettier-ignore
    libsql_auth_token: secret().optional().describe('What the libSQL server wants to be shown.'),
    libsql_sync_interval: duration().prefault('1m').describe('How often the replica fetches what others wrote; what is written here it has at once.'), // prettier-ignore
    key_path: z.string().optional().describe('Key that signs the data repo. Default: signing.key in the data folder.'), // prettier-ignore
    rotation_key_path: z.string().optional().describe('did:plc only: key that signs changes of the DID document. Default: rotation.key in the data folder.'), // prettier-ignore
    did: did().optional().describe('DID of the hold, when it has one already. Default: did.txt in the data folder, else made.'), // prettier-ignore
    did_method: z
      .enum(['web', 'plc'])
      .default('web')
      .describe('What kind of DID is made: web lives and ends with the host name, plc can move.'),
    plc_directory_url: z.url().default('https://plc.directory').describe('Directory of did:plc identities.'),
    handle_resolver_url: z.url().optional().describe('Ask this server for handles instead of DNS and HTTPS (development).'), // prettier-ignore
  })
  .prefault({})
  .describe('The data repo and the rows beside it, and who the hold is.')

const admin = z
  .object({
    enabled: z.boolean().default(true).describe('Serve the admin panel, for the captain and crew with crew:admin.'), // prettier-ignore
  })
  .prefault({})
  .describe('The admin panel under /admin.')
const tier = z.object({
  name: z.string().min(1).max(32),
  quota: size(),
  scan_on_push: z.boolean().default(false),
})

const quota = z
  .object({
    tiers: z.array(tier).default([]).describe('How much crew may keep, lowest rank first: a list of `{name, quota: 5GB, scan_on_push: false}`. Without tiers nobody is limited; the captain never is.'), // prettier-ignore
    defaults: z
      .object({
        new_crew_tier: z.string().optional().describe('Tier of crew whose record names none, or one that is not there. Default: the first.'), // prettier-ignore
      })
      .prefault({}),
  })
  .prefault({})
  .superRefine(({ tiers, defaults }, context) => {
    const names = tiers.map(({ name }) => name)
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    if (twice !== undefined) {
      context.addIssue({ code: 'custom', path: ['tiers'], message: `two tiers are called ${twice}` })
    }
    const { new_crew_tier: wanted } = defaults
    if (wanted !== undefined && !names.includes(wanted)) {
      const message = `there is no tier ${wanted}`
      context.addIssue({ code: 'custom', path: ['defaults', 'new_crew_tier'], message })
    }
  })
  .describe('How much may be kept here, and by whom.')
const labeler = z
  .object({
    did: did().optional().describe("DID of the labeler whose `!takedown` labels this hold honours. Default: nobody's."), // prettier-ignore
    grace_window: duration().prefault('720h').describe('How long the bytes of what was taken down are kept, hidden; the label may be taken back meanwhile.'), // prettier-ignore
  })
  .prefault({})
  .describe('Moderation by somebody else.')
/** A client that was told that a blob is there has at least so long to push the manifest that names it. */
const gcGraceMsMin = 3_600_000

const gc = z
  .object({
    enabled: z.boolean().default(false).describe('Delete blobs that no manifest needs, now and then.'),
    interval: duration().prefault('24h').describe('How often.'),
    grace: duration()
      .refine((ms) => ms >= gcGraceMsMin, 'at least 1h')
      .prefault('168h')
      .describe('For how long nothing must have needed a blob, and a manifest must have been gone from its owner’s PDS, before either counts.'), // prettier-ignore
  })
  .prefault({})
  .describe('Garbage collection.')

/** Generous: one address may be an AppView that asks for all its people. */
const limits = z
  .object({
    enabled: z.boolean().default(true).describe('Whether the limits below count. Limits of sign-ins always do.'), // prettier-ignore
    exempt_networks: networks().default([]).describe('Addresses and networks without limits per address, such as 10.0.0.0/8: AppViews of the same operator, monitoring.'), // prettier-ignore
    xrpc_calls: z.int().min(0).default(60_000).describe('XRPC calls a minute, of one address. 0, here and below: any number.'), // prettier-ignore
    repo_exports: z.int().min(0).default(60).describe('Exports of the data repo a minute, of one address.'),
    open_uploads: z.int().min(0).default(1_000).describe('Uploads that one account may have begun and not ended.'), // prettier-ignore
    subscriptions_per_address: z.int().min(0).default(20).describe('Connections to the event stream of one address at once.'), // prettier-ignore
  })
  .prefault({})
  .describe('How much one address or one account may ask for.')

const schema = z.object({
  version: z.literal('0.1').default('0.1').describe('Version of this file.'),
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('Least severe line logged.'), // prettier-ignore
  log_shipper: logShipperSettings,
  metrics: metricsSettings('127.0.0.1:9465'),
  readiness: z.object({ drain_delay: drainDelaySetting }).prefault({}).describe('What /ready says.'),
  storage,
  server,
  registration,
  database,
  admin,
  quota,
  labeler,
  gc,
  limits,
})

/** Settings of a hold as the program uses them: secrets wrapped. */
export type HoldConfig = z.output<typeof schema>

/** What no section can know by itself. */
function contradictions({ database, server, storage }: Partial<HoldConfig>): string[] {
  const problems: string[] = []
  if (server !== undefined && !server.test_mode && isPlainHttpElsewhere(server.public_url))
    problems.push('server.public_url is plain http: clients and AppViews need https; `server.test_mode: true` allows it for development') // prettier-ignore
  if (storage !== undefined) problems.push(...storageContradictions(storage))
  if (database !== undefined)
    problems.push(...libsqlContradictions(database, { section: 'database', otherUrl: database.url && 'url' }))
  if (database?.did_method === 'plc' && database.did?.startsWith('did:web:') === true)
    problems.push('database.did is a did:web and database.did_method is plc: leave one of them out')
  return problems
}

function storageContradictions(storage: HoldConfig['storage']): string[] {
  if (storage.driver === 's3') {
    const isHalf = (storage.access_key === undefined) !== (storage.secret_key === undefined)
    const [set, missing] = storage.access_key === undefined ? ['secret', 'access'] : ['access', 'secret']
    return [
      ...(storage.bucket === undefined ? ['storage.bucket: missing; the s3 driver needs it'] : []),
      ...(storage.path === undefined
        ? []
        : ['storage.path is for the filesystem driver, and storage.driver is s3']),
      ...(isHalf ? [`storage.${set}_key is set without storage.${missing}_key: they belong together`] : []),
    ]
  }
  return (['bucket', 'pull_zone'] as const)
    .filter((name) => storage[name] !== undefined)
    .map(
      (name) =>
        `storage.${name} is for the s3 driver, and storage.driver is filesystem; set \`storage.driver: s3\``,
    )
}

/** The settings of a hold: YAML, environment (`HOLD_…`) and older names. */
export const holdSettings = {
  schema,
  environmentPrefix: 'HOLD_',
  legacyEnvironment: {
    HOLD_PUBLIC_URL: 'server.public_url',
    HOLD_OWNER: 'registration.owner_did',
    HOLD_PUBLIC: 'server.public',
    HOLD_ALLOW_ALL_CREW: 'registration.allow_all_crew',
    STORAGE_DRIVER: 'storage.driver',
    AWS_ACCESS_KEY_ID: 'storage.access_key',
    AWS_SECRET_ACCESS_KEY: 'storage.secret_key',
    AWS_REGION: 'storage.region',
    S3_BUCKET: 'storage.bucket',
    S3_ENDPOINT: 'storage.endpoint',
    TEST_MODE: 'server.test_mode',
  },
  // The host name in files for Compose.
  foreignEnvironment: [/^HOLD_DOMAIN$/],
  reloaded: ['log_level', 'server.trusted_proxies', 'quota', 'gc', 'limits'],
  contradictions,
} satisfies SettingsDeclaration<typeof schema>

/** Settings from an object as it would stand in the file; for tests and the dev network. */
export function holdConfig(settings: z.input<typeof schema>): HoldConfig {
  return schema.parse(settings)
}

/** Every file a hold makes at first start. */
export interface HoldPaths {
  database: string
  blobs: string
  signingKey: string
  rotationKey: string
  /** Key of signed URLs, upload capabilities and hold sessions. */
  secretKey: string
  /** Key by which the hold proves to PDSes that it is itself when somebody signs in. */
  oauthKey: string
  did: string
}

/** Where the files of this configuration are; `isRoot` picks the default data folder. */
export function holdPaths(config: HoldConfig, isRoot: boolean): HoldPaths {
  const database = config.database.path ?? (isRoot ? '/var/lib/atcr/hold.db' : './data/hold.db')
  const folder = dirname(database)
  return {
    database,
    blobs: config.storage.path ?? join(folder, 'blobs'),
    signingKey: config.database.key_path ?? join(folder, 'signing.key'),
    rotationKey: config.database.rotation_key_path ?? join(folder, 'rotation.key'),
    secretKey: join(folder, 'hold-secret.key'),
    oauthKey: join(folder, 'oauth.key'),
    did: join(folder, 'did.txt'),
  }
}

/** The relays this hold asks. Unless told, the best known one; none where nobody could follow the hold anyway. */
export function relayUrls({ server }: HoldConfig): string[] {
  if (server.relay_endpoint !== undefined) return server.relay_endpoint
  const isPublic = !server.test_mode && server.public_url.startsWith('https:')
  return isPublic ? ['https://bsky.network'] : []
}

function listed(text: string): string[] {
  return text.split(',').map((part) => part.trim())
}
