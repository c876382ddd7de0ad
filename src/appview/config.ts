import { join } from 'node:path'

import { z } from 'zod'

import { duration, secret, type SettingsDeclaration } from '../lib/config.ts'
import { drainDelaySetting, logShipperSettings, metricsSettings } from '../lib/operation-settings.ts'
import { contrastOf, hexColour, readableColour } from '../lib/contrast.ts'
import { did, isPlainHttpElsewhere, libsqlContradictions, listenAddress, networks, origin, pageUrl, registryDomain } from '../lib/settings-types.ts' // prettier-ignore

/** Colours for links, buttons and focus; `ui/brand.ts` has them. */
export const themeNames = ['blue', 'teal', 'green', 'violet', 'plum', 'graphite'] as const

/** What browsers take as the name of a search engine (OpenSearch 1.1). */
const shortNameLengthMax = 16

const server = z
  .object({
    addr: listenAddress().default(':5000').describe('Where it listens: `:5000` is every interface, `127.0.0.1:5000` one.'), // prettier-ignore
    base_url: origin().default('http://127.0.0.1:5000').describe('Where clients reach it. Its host names the service in tokens.'), // prettier-ignore
    registry_domains: z.array(registryDomain()).default([]).describe('Further host names that lead here and begin image names, such as images.example. Pages show commands with the first; browsers are sent on to base_url.'), // prettier-ignore
    default_hold_did: did().describe('DID of the hold for those who chose none.'),
    data_folder: z.string().optional().describe('Where everything made on first run goes. Default: /var/lib/atcr, or ./data when not root.'), // prettier-ignore
    managed_holds: z.array(did()).default([]).describe('DIDs of holds of this operator: trusted with direct uploads. The default hold is one of them.'), // prettier-ignore
    upload_mode: z.enum(['auto', 'direct', 'relay']).default('auto').describe('auto: layers go straight to managed holds, from clients known to follow; direct: from all clients; relay: always through here.'), // prettier-ignore
    allow_sparse_images: z
      .boolean()
      .default(false)
      .describe('Take image manifests whose layers are not (yet) here; otherwise they are refused.'),
    redirect_blobs: z.boolean().default(true).describe('Answer blob reads with a redirect to the hold; false streams them through here.'), // prettier-ignore
    oauth_key_path: z.string().optional().describe('P-256 keys by which this AppView proves that it is itself where people sign in. Default: oauth/client.key in the data folder.'), // prettier-ignore
    client_name: z.string().min(1).default('ATCR').describe('What it is called: in titles, on cards of shared links, and where people are asked to let it act for them.'), // prettier-ignore
    client_short_name: z.string().min(1).max(shortNameLengthMax).optional().describe('The same in the head of pages and in the list of search engines of browsers. Default: client_name, cut to 16 letters.'), // prettier-ignore
    trusted_proxies: networks().default([]).describe('Addresses and networks of proxies before this AppView, such as 127.0.0.1 or 10.0.0.0/8: what their X-Forwarded-For says counts for limits and lists of sign-ins.'), // prettier-ignore
    test_mode: z.boolean().default(false).describe('Development only: allows plain HTTP and private addresses.'), // prettier-ignore
  })
  .describe('The registry itself.')

const ui = z
  .object({
    enabled: z.boolean().default(true).describe('Serve the web pages.'),
    database_path: z.string().optional().describe('SQLite file. Default: ui.db in the data folder.'),
    database_url: z.string().optional().describe('postgres://… in place of the file, for several instances.'),
    libsql_sync_url: z.url({ protocol: /^(?:libsql|https?)$/ }).optional().describe('libSQL server, such as libsql://name.turso.io, that the file is a replica of: reads are local, writes go there.'), // prettier-ignore
    libsql_auth_token: secret().optional().describe('What the libSQL server wants to be shown.'),
    libsql_sync_interval: duration().prefault('1m').describe('How often the replica fetches what others wrote; what is written here it has at once.'), // prettier-ignore
    theme: z.enum(themeNames).default('blue').describe('Colour of links, buttons and focus, in light and dark.'), // prettier-ignore
    remote_images: z
      .enum(['proxy', 'block'])
      .default('proxy')
      .describe(
        'Pictures of other sites in READMEs. proxy: fetched and handed out by this AppView; block: links.',
      ),
  })
  .prefault({})
  .describe('Pages and the index behind them.')

/** What text stands on in pages: paper, surface and sunken in `http/assets/base.css`. */
export const pageGrounds = {
  light: ['#f7f9fb', '#ffffff', '#eef2f6'],
  dark: ['#0f161d', '#161f28', '#0a1016'],
} as const
/** WCAG 2.2, 1.4.3. */
export const textContrastMin = 4.5

/** A colour that links can have on pages of one kind. */
const linkColour = (mode: keyof typeof pageGrounds) =>
  z
    .string()
    .regex(hexColour, { error: 'expected a colour such as #1c6394', abort: true })
    .superRefine((text, context) => {
      const worst = Math.min(...pageGrounds[mode].map((ground) => contrastOf(text, ground)))
      if (worst >= textContrastMin) return
      const better = readableColour(text, pageGrounds[mode], textContrastMin)
      const message = `too little contrast on ${mode} pages: ${worst.toFixed(1)}, at least ${textContrastMin} for people to read it; ${better} would do`
      context.addIssue({ code: 'custom', message })
    })
    .optional()

const branding = z
  .object({
    accent: linkColour('light').describe('Colour of links, buttons and focus on light pages, in place of that of the theme. Must be readable there.'), // prettier-ignore
    accent_dark: linkColour('dark').describe('The same on dark pages and on cards.'),
    logo_path: z.string().min(1).optional().describe('Picture before the name: PNG, JPEG, WebP or SVG, 512 kB at most.'), // prettier-ignore
    favicon_path: z.string().min(1).optional().describe('Picture in the tabs of browsers: PNG or SVG, 100 kB at most. Default: the logo, if that is one of these.'), // prettier-ignore
    footer_text: z.string().max(500).optional().describe('What stands at the end of every page, in place of the sentence about records.'), // prettier-ignore
    footer_links: z.array(z.object({ text: z.string().min(1).max(60), url: pageUrl() })).max(10).default([]).describe('Further links there: a list of `{text: Status, url: https://status.example}`.'), // prettier-ignore
  })
  .prefault({})
  .describe('What it looks like. Its name is `server.client_name`.')

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
    exempt_networks: networks().default([]).describe('Addresses and networks without limits per address, such as 10.0.0.0/8: build machines, monitoring.'), // prettier-ignore
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
  branding,
  credential_helper: credentialHelper,
  legal: z
    .object({
      company_name: z.string().min(1).optional().describe('Who runs this registry and answers for it.'),
      jurisdiction: z.string().min(1).optional().describe('Whose law applies, as it is to be read after “the law of”: `Finland`.'), // prettier-ignore
      terms_path: z.string().min(1).optional().describe('Markdown file shown at /terms in place of the built-in text.'), // prettier-ignore
      privacy_path: z.string().min(1).optional().describe('Markdown file shown at /privacy in place of the built-in text, which says what this software keeps.'), // prettier-ignore
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
      urls: z.array(z.url({ protocol: /^wss?$/ })).default(['wss://jetstream1.us-east.bsky.network', 'wss://jetstream2.us-west.bsky.network']).describe('Event streams, tried in turn.'), // prettier-ignore
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

/** What no section can know by itself. */
function contradictions({ auth, server, ui }: Partial<AppViewConfig>): string[] {
  const problems: string[] = []
  if (server !== undefined && !server.test_mode && isPlainHttpElsewhere(server.base_url))
    problems.push('server.base_url is plain http: clients and sign-ins need https; `server.test_mode: true` allows it for development') // prettier-ignore
  if (ui?.database_path !== undefined && ui.database_url !== undefined)
    problems.push('ui.database_path and ui.database_url are both set: one database or the other')
  if (ui !== undefined)
    problems.push(...libsqlContradictions(ui, { section: 'ui', otherUrl: ui.database_url && 'database_url' }))
  if (auth !== undefined && (auth.key_path === undefined) !== (auth.cert_path === undefined)) {
    const [set, missing] = auth.key_path === undefined ? ['cert', 'key'] : ['key', 'cert']
    problems.push(`auth.${set}_path is set without auth.${missing}_path: the certificate belongs to the key. A missing certificate is made`) // prettier-ignore
  }
  return problems
}

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
  // Of a hold that has its settings beside these, and of what starts programs.
  foreignEnvironment: [/^ATCR_(?:HOLD_.+|NODE|FOLDER|VERSION|DATA_FOLDER)$/],
  reloaded: ['log_level', 'server.trusted_proxies', 'ui.theme', 'branding', 'legal', 'health', 'limits'],
  contradictions,
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
