import { z } from 'zod'

import { appViewSettings, type AppViewConfig } from '../appview/config.ts'
import { didWebOfUrl } from '../atproto/syntax.ts'
import { holdSettings, type HoldConfig } from '../hold/config.ts'
import type { SettingsDeclaration } from '../lib/config.ts'

const { shape: appView } = appViewSettings.schema
const { shape: holdShape } = holdSettings.schema

/** Networks know services by host name: no DID stands for an IP address, but that of the machine itself is `localhost`. */
const address = () =>
  z
    .url({ protocol: /^https?$/, error: ({ input }) => (input === undefined ? undefined : notAnAddress) })
    .refine((url) => !isIpAddress(hostOf(url)) || isLoopback(hostOf(url)), {
      error: 'needs a host name: nobody can look up an IP address',
    })

const notAnAddress = 'expected an address such as https://registry.example'

/** What is said once, for both programs, is not said again in their sections. */
const appview = appViewSettings.schema
  .omit({ version: true, log_level: true, log_shipper: true, metrics: true, identity: true })
  .extend({
    server: appView.server
      .omit({
        addr: true,
        base_url: true,
        default_hold_did: true,
        data_folder: true,
        trusted_proxies: true,
        test_mode: true,
      }) // prettier-ignore
      .prefault({}),
  })
  .strict()
  .prefault({})
  .describe('Settings of the AppView (docs/CONFIG.md) beyond these, such as `legal: {company_name: …}`.')

const hold = holdSettings.schema
  .omit({ version: true, log_level: true, log_shipper: true, metrics: true })
  .extend({
    server: holdShape.server
      .omit({ addr: true, public_url: true, appview_did: true, trusted_proxies: true, test_mode: true })
      .prefault({}),
    registration: holdShape.registration.unwrap().omit({ owner_did: true }).prefault({}),
    database: holdShape.database
      .unwrap()
      .omit({ path: true, plc_directory_url: true, handle_resolver_url: true })
      .prefault({}),
  })
  .strict()
  .prefault({})
  .describe('Settings of the hold beyond these, such as `server: {public: true}`: anyone may pull.')

const schema = z.object({
  address: address().describe('Where people reach it: https://registry.example'),
  owner: z.string().min(1).describe('Handle or DID of whoever it belongs to: alice.example. Read at first start; then the captain record of the hold says it.'), // prettier-ignore
  hold_address: address().optional().describe('A host name of its own for the hold: https://hold.example. Default: it is at the same one. Choose before the first start: it makes the DID of the hold.'), // prettier-ignore
  addr: z.string().default(':5000').describe('Where both listen: `:5000` is every interface, `127.0.0.1:5000` one.'), // prettier-ignore
  data_folder: z.string().optional().describe('Where everything is kept: images, keys, databases. Default: /var/lib/atcr, or ./data when not root.'), // prettier-ignore
  trusted_proxies: z.array(z.string()).default([]).describe('Addresses and networks of proxies before it, such as 127.0.0.1: what their X-Forwarded-For says counts for limits.'), // prettier-ignore
  test_mode: z
    .boolean()
    .default(false)
    .describe('Development only: allows plain HTTP and private addresses.'),
  log_level: appView.log_level,
  log_shipper: appView.log_shipper,
  metrics: appView.metrics,
  identity: appView.identity,
  appview,
  hold,
  version: appView.version,
})

export type AllInOneConfig = z.output<typeof schema>

/** The settings of AppView and hold in one process. */
export const allInOneSettings = {
  schema,
  environmentPrefix: 'ATCR_',
  folded: ['log_shipper', 'metrics', 'identity', 'appview', 'hold'],
  reloaded: ['log_level'],
} satisfies SettingsDeclaration<typeof schema>

/** Where others reach the hold. An IP address of this machine is `localhost`, which a DID can name. */
export function holdUrl(config: Pick<AllInOneConfig, 'address' | 'hold_address'>): URL {
  const url = new URL(config.hold_address ?? config.address)
  if (isIpAddress(url.hostname)) url.hostname = 'localhost'
  return url
}

/** Whether the hold is at another origin than the AppView, and found there by the `Host` of requests. */
export function hasHoldItsOwnHost({ address, hold_address }: AllInOneConfig): boolean {
  return hold_address !== undefined && new URL(hold_address).origin !== new URL(address).origin
}

/** The AppView's settings. `holdDid` is not known before the hold has run, which matters to `serve` alone. */
export function appViewConfigOf(
  config: AllInOneConfig,
  holdDid: string = didWebOfUrl(holdUrl(config)),
): AppViewConfig {
  const { version, log_level, log_shipper, metrics, identity } = config
  const { addr, data_folder, trusted_proxies, test_mode } = config
  return {
    ...config.appview,
    version,
    log_level,
    log_shipper,
    metrics,
    identity,
    server: {
      ...config.appview.server,
      addr,
      data_folder,
      trusted_proxies,
      test_mode,
      base_url: config.address,
      default_hold_did: holdDid,
    },
  }
}

/** The hold's settings: its files lie beside those of the AppView. */
export function holdConfigOf(config: AllInOneConfig): HoldConfig {
  const { version, log_level, log_shipper, metrics } = config
  const { addr, data_folder: folder, trusted_proxies, test_mode } = config
  return {
    ...config.hold,
    version,
    log_level,
    log_shipper,
    // Of the process, at the AppView's listener.
    metrics: { ...metrics, enabled: false },
    server: {
      ...config.hold.server,
      addr,
      trusted_proxies,
      test_mode,
      public_url: holdUrl(config).href,
      appview_did: didWebOfUrl(config.address),
    },
    registration: { ...config.hold.registration, owner_did: config.owner },
    database: {
      ...config.hold.database,
      ...(folder === undefined ? {} : { path: `${folder.replace(/\/+$/, '')}/hold.db` }),
      plc_directory_url: config.identity.plc_directory_url,
      handle_resolver_url: config.identity.handle_resolver_url,
    },
  }
}

const hostOf = (url: string) => URL.parse(url)?.hostname ?? ''
const isIpAddress = (host: string) => /^[\d.]+$|^\[/.test(host)
const isLoopback = (host: string) => /^127\.|^\[::1\]$/.test(host)
