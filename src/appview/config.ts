import { join } from 'node:path'

import { z } from 'zod'

import { duration, secret, type SettingsDeclaration } from '../lib/config.ts'

const logShipper = z
  .object({
    backend: z.enum(['off', 'victoria', 'opensearch', 'loki']).default('off').describe('Where log lines go besides standard output.'), // prettier-ignore
    url: z.url().optional().describe('Address of the log server.'),
    batch_size: z.number().int().positive().default(100).describe('Lines a batch holds at most.'),
    flush_interval: duration().prefault('5s').describe('Longest time a line waits for its batch.'),
    username: z.string().optional().describe('User name at the log server.'),
    password: secret().optional().describe('Password at the log server.'),
  })
  .prefault({})
  .describe('Shipping of log lines.')

const server = z
  .object({
    addr: z.string().default(':5000').describe('Where it listens: `:5000` is every interface, `127.0.0.1:5000` one.'), // prettier-ignore
    base_url: z.url().default('http://127.0.0.1:5000').describe('Where clients reach it. Its host names the service in tokens.'), // prettier-ignore
    default_hold_did: z.string().min(1).describe('DID of the hold for those who chose none.'),
    data_folder: z.string().optional().describe('Where everything made on first run goes. Default: /var/lib/atcr, or ./data when not root.'), // prettier-ignore
    oauth_key_path: z.string().optional().describe('P-256 key of the OAuth client. Default: oauth/client.key in the data folder.'), // prettier-ignore
    client_name: z.string().default('ATCR').describe('Name shown when an account authorises us.'),
    client_short_name: z.string().default('ATCR').describe('The same, where room is short.'),
    registry_domains: z.array(z.string()).default([]).describe('Further host names clients use in image names.'), // prettier-ignore
    managed_holds: z.array(z.string()).default([]).describe('DIDs of holds of this operator: trusted with direct uploads. The default hold is one of them.'), // prettier-ignore
    upload_mode: z.enum(['auto', 'direct', 'relay']).default('auto').describe('auto: layers go straight to managed holds, from clients known to follow; direct: from all clients; relay: always through here.'), // prettier-ignore
    allow_sparse_images: z
      .boolean()
      .default(false)
      .describe('Take image manifests whose layers are not (yet) here; otherwise they are refused.'),
    redirect_blobs: z.boolean().default(true).describe('Answer blob reads with a redirect to the hold; false streams them through here.'), // prettier-ignore
    test_mode: z.boolean().default(false).describe('Development only: allows plain HTTP and private addresses.'), // prettier-ignore
  })
  .describe('The registry itself.')

const ui = z
  .object({
    enabled: z.boolean().default(true).describe('Serve the web pages.'),
    database_path: z.string().optional().describe('SQLite file. Default: ui.db in the data folder.'),
    database_url: z.string().optional().describe('postgres://… in place of the file, for several instances.'),
    theme: z.enum(['auto', 'light', 'dark']).default('auto').describe('Colours of the pages.'),
    libsql_sync_url: z.string().optional().describe('libSQL primary to replicate from.'),
    libsql_auth_token: secret().optional().describe('Token for the libSQL primary.'),
    libsql_sync_interval: duration().prefault('1m').describe('How often the replica asks the primary.'),
  })
  .prefault({})
  .describe('Pages and the index behind them.')

const schema = z.object({
  version: z.literal('0.1').default('0.1').describe('Version of this file.'),
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').describe('Least severe line logged.'), // prettier-ignore
  log_shipper: logShipper,
  server,
  ui,
  auth: z
    .object({
      key_path: z.string().optional().describe('RSA key that signs registry tokens. Default: auth/private-key.pem in the data folder.'), // prettier-ignore
      cert_path: z.string().optional().describe('Its certificate. Default: auth/private-key.crt in the data folder.'), // prettier-ignore
    })
    .prefault({})
    .describe('Registry tokens. Missing files are made on first run.'),
  identity: z
    .object({
      plc_directory_url: z.url().default('https://plc.directory').describe('Directory of did:plc identities.'), // prettier-ignore
      handle_resolver_url: z.url().optional().describe('Ask this server for handles instead of DNS and HTTPS (development).'), // prettier-ignore
    })
    .prefault({})
    .describe('Where accounts are looked up.'),
  cache: z
    .object({ redis_url: secret().optional().describe('Valkey or Redis shared by several instances.') })
    .prefault({})
    .describe('Shared cache.'),
  jetstream: z
    .object({
      urls: z.array(z.string()).default(['wss://jetstream1.us-east.bsky.network', 'wss://jetstream2.us-west.bsky.network']).describe('Event streams, tried in turn.'), // prettier-ignore
      relay_endpoints: z.array(z.string()).default(['https://relay1.us-east.bsky.network']).describe('Relays asked for accounts to backfill.'), // prettier-ignore
      backfill_enabled: z.boolean().default(true).describe('Read what was there before this AppView was.'),
    })
    .prefault({})
    .describe('Where the index gets its events from.'),
  health: z
    .object({
      check_interval: duration().prefault('15m').describe('How often holds are checked.'),
      cache_ttl: duration().prefault('15m').describe('How long a result is shown.'),
    })
    .prefault({})
    .describe('Health of holds.'),
  credential_helper: z
    .object({ download_base: z.url().optional().describe('Where the helper is downloaded from.') })
    .prefault({})
    .describe('The credential helper.'),
  legal: z
    .object({
      company_name: z.string().optional().describe('Who runs this registry.'),
      jurisdiction: z.string().optional().describe('Whose law applies.'),
    })
    .prefault({})
    .describe('For the terms and privacy pages.'),
  labeler: z
    .object({ did: z.string().optional().describe('Labeler whose takedowns are followed.') })
    .prefault({})
    .describe('Moderation.'),
})

/** Settings of the AppView as the program uses them: durations in milliseconds, secrets wrapped. */
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
