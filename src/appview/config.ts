import { join } from 'node:path'

import { z } from 'zod'

import { duration, secret, type SettingsDeclaration } from '../lib/config.ts'
import { drainDelaySetting, logShipperSettings, metricsSettings } from '../lib/operation-settings.ts'

const server = z
  .object({
    addr: z.string().default(':5000').describe('Where it listens: `:5000` is every interface, `127.0.0.1:5000` one.'), // prettier-ignore
    base_url: z.url().default('http://127.0.0.1:5000').describe('Where clients reach it. Its host names the service in tokens.'), // prettier-ignore
    default_hold_did: z.string().min(1).describe('DID of the hold for those who chose none.'),
    data_folder: z.string().optional().describe('Where everything made on first run goes. Default: /var/lib/atcr, or ./data when not root.'), // prettier-ignore
    managed_holds: z.array(z.string()).default([]).describe('DIDs of holds of this operator: trusted with direct uploads. The default hold is one of them.'), // prettier-ignore
    upload_mode: z.enum(['auto', 'direct', 'relay']).default('auto').describe('auto: layers go straight to managed holds, from clients known to follow; direct: from all clients; relay: always through here.'), // prettier-ignore
    allow_sparse_images: z
      .boolean()
      .default(false)
      .describe('Take image manifests whose layers are not (yet) here; otherwise they are refused.'),
    redirect_blobs: z.boolean().default(true).describe('Answer blob reads with a redirect to the hold; false streams them through here.'), // prettier-ignore
    oauth_key_path: z.string().optional().describe('P-256 keys by which this AppView proves that it is itself where people sign in. Default: oauth/client.key in the data folder.'), // prettier-ignore
    client_name: z.string().min(1).default('ATCR').describe('What it is called where people are asked to let it act for them.'), // prettier-ignore
    trusted_proxies: z.array(z.string()).default([]).describe('Addresses and networks of proxies before this AppView, such as 127.0.0.1 or 10.0.0.0/8: what their X-Forwarded-For says counts for limits and lists of sign-ins.'), // prettier-ignore
    test_mode: z.boolean().default(false).describe('Development only: allows plain HTTP and private addresses.'), // prettier-ignore
  })
  .describe('The registry itself.')

const ui = z
  .object({
    enabled: z.boolean().default(true).describe('Serve the web pages.'),
    database_path: z.string().optional().describe('SQLite file. Default: ui.db in the data folder.'),
    database_url: z.string().optional().describe('postgres://… in place of the file, for several instances.'),
    remote_images: z
      .enum(['proxy', 'block'])
      .default('proxy')
      .describe(
        'Pictures of other sites in READMEs. proxy: fetched and handed out by this AppView; block: links.',
      ),
  })
  .prefault({})
  .describe('Pages and the index behind them.')

const credentialHelper = z
  .object({
    folder: z.string().optional().describe('Folder with builds of the credential helper and their SHA256SUMS, which `npm run build:helper` makes. Default: dist/helper of these sources.'), // prettier-ignore
    download_base: z.url({ protocol: /^https?$/ }).optional().describe('Where the builds are downloaded from instead of here; SHA256SUMS too, unless the folder has it.'), // prettier-ignore
  })
  .prefault({})
  .describe('What /install.sh, /install.ps1 and /install/<file> offer.')

const health = z
  .object({
    check_interval: duration().prefault('15m').describe('How often each hold that is in use is asked whether it answers. One that has been away for long is asked less often.'), // prettier-ignore
    cache_ttl: duration().prefault('15m').describe('How long over that an answer counts; after that pages say that they do not know.'), // prettier-ignore
  })
  .prefault({})
  .describe('What pages say of holds: whether they answer.')

const perMinute = () => z.int().min(0)

/** Generous: one address may be an office, or all machines of a cluster. */
const limits = z
  .object({
    enabled: z.boolean().default(true).describe('Whether the limits below count. Limits of sign-ins always do.'), // prettier-ignore
    exempt_networks: z.array(z.string()).default([]).describe('Addresses and networks without limits per address, such as 10.0.0.0/8: build machines, monitoring.'), // prettier-ignore
    registry_reads: perMinute().default(60_000).describe('Reads below /v2/ a minute, of one address; counted by each instance for itself. 0, here and below: any number.'), // prettier-ignore
    registry_writes: perMinute().default(12_000).describe('Writes below /v2/ a minute, of one account.'),
    open_uploads: z.int().min(0).default(1_000).describe('Uploads that one account may have begun and not ended.'), // prettier-ignore
    token_requests: perMinute().default(3_000).describe('Requests for registry tokens a minute, of one address.'), // prettier-ignore
    name_lookups: perMinute().default(300).describe('Names a minute that have to be looked up elsewhere first, of one address: unknown owners in the addresses of pages and images.'), // prettier-ignore
    searches: perMinute().default(120).describe('Searches a minute, of one address.'),
    pictures: perMinute().default(1_200).describe('Pictures of other sites, and of accounts, a minute, of one address.'), // prettier-ignore
  })
  .prefault({})
  .describe('How much one address or one account may ask for.')

const schema = z.object({
  version: z.literal('0.1').default('0.1').describe('Version of this file.'),
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('Least severe line logged.'), // prettier-ignore
  log_shipper: logShipperSettings,
  metrics: metricsSettings('127.0.0.1:9464'),
  readiness: z
    .object({
      drain_delay: drainDelaySetting,
      index_lag_max: duration().prefault('24h').describe('When the index is further behind the network than this, /ready answers 503.'), // prettier-ignore
    })
    .prefault({})
    .describe('What /ready says.'),
  server,
  ui,
  auth: z
    .object({
      key_path: z.string().optional().describe('RSA key that signs registry tokens. Default: auth/private-key.pem in the data folder.'), // prettier-ignore
      cert_path: z.string().optional().describe('Its certificate. Default: auth/private-key.crt in the data folder.'), // prettier-ignore
    })
    .prefault({})
    .describe('Registry tokens. Missing files are made on first run.'),
  credential_helper: credentialHelper,
  legal: z
    .object({
      company_name: z.string().min(1).optional().describe('Who runs this registry and answers for it.'),
      jurisdiction: z.string().min(1).optional().describe('Whose law applies, as it is to be read after “the law of”: `Finland`.'), // prettier-ignore
    })
    .prefault({})
    .describe('What /terms and /privacy say of whoever runs this registry.'),
  identity: z
    .object({
      plc_directory_url: z.url().default('https://plc.directory').describe('Directory of did:plc identities.'), // prettier-ignore
      handle_resolver_url: z.url().optional().describe('Ask this server for handles instead of DNS and HTTPS (development).'), // prettier-ignore
    })
    .prefault({})
    .describe('Where accounts are looked up.'),
  jetstream: z
    .object({
      urls: z.array(z.string()).default(['wss://jetstream1.us-east.bsky.network', 'wss://jetstream2.us-west.bsky.network']).describe('Event streams, tried in turn.'), // prettier-ignore
      firehose_urls: z.array(z.url()).default([]).describe('Relays or PDSes whose signed event stream is followed as well, for networks without Jetstream, such as https://pds.example.'), // prettier-ignore
      relay_endpoints: z.array(z.url()).default(['https://relay1.us-east.bsky.network', 'https://relay1.us-west.bsky.network']).describe('Relays that list which accounts have records here, tried in turn; a PDS lists its own.'), // prettier-ignore
      backfill_enabled: z.boolean().default(true).describe('Read what accounts wrote before this index was there, or while it was away.'), // prettier-ignore
    })
    .prefault({})
    .describe('Where the index gets its events from.'),
  health,
  limits,
  cache: z
    .object({
      redis_url: secret()
        .refine((url) => /^rediss?:$/.test(URL.parse(url.reveal())?.protocol ?? ''), 'expected redis://… or rediss://…')
        .optional().describe('Redis or Valkey, as redis://… or rediss://user:password@host:6379/0, where several AppViews count limits together. Without it, or while it is away, each counts for itself.'), // prettier-ignore
    })
    .prefault({})
    .describe('What several AppViews share besides the database.'),
})

/** Settings of the AppView as the program uses them: paths as they were written. */
export type AppViewConfig = z.output<typeof schema>

/** The settings of the AppView: YAML, environment (`ATCR_…`) and older names. */
export const appViewSettings = {
  schema,
  environmentPrefix: 'ATCR_',
  legacyEnvironment: {
    ATCR_HTTP_ADDR: 'server.addr',
    ATCR_BASE_URL: 'server.base_url',
    ATCR_DEFAULT_HOLD_DID: 'server.default_hold_did',
    JETSTREAM_URL: 'jetstream.urls',
    TEST_MODE: 'server.test_mode',
  },
} satisfies SettingsDeclaration<typeof schema>

/** Settings from an object as it would stand in the file; for tests and the dev network. */
export function appViewConfig(settings: z.input<typeof schema>): AppViewConfig {
  return schema.parse(settings)
}

/** Every file the AppView makes on first run, as absolute or working-folder paths. */
export interface AppViewPaths {
  database: string
  registryKey: string
  registryCertificate: string
  sealingKey: string
  oauthKey: string
}

/** Where the files of this configuration are; `isRoot` picks the default data folder. */
export function appViewPaths(config: AppViewConfig, isRoot: boolean): AppViewPaths {
  const folder = config.server.data_folder ?? (isRoot ? '/var/lib/atcr' : './data')
  return {
    database: config.ui.database_path ?? join(folder, 'ui.db'),
    registryKey: config.auth.key_path ?? join(folder, 'auth/private-key.pem'),
    registryCertificate: config.auth.cert_path ?? join(folder, 'auth/private-key.crt'),
    sealingKey: join(folder, 'auth/sealing.key'),
    oauthKey: config.server.oauth_key_path ?? join(folder, 'oauth/client.key'),
  }
}
