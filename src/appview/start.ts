import type { Server } from 'node:http'

import { proxyWarning } from '../http/client-address.ts'
import { serveMetrics } from '../http/metrics-server.ts'
import { measureConnections } from '../http/request-metrics.ts'
import { parseListenAddress, serve, type Serve } from '../http/serve.ts'
import { sleep } from '../lib/clock.ts'
import { measureDatabase } from '../lib/database-metrics.ts'
import { createApp, createInterceptor } from './app.ts'
import { appViewPaths, type AppViewConfig } from './config.ts'
import { createContext, type AppContext, type AppViewOverrides } from './context.ts'
import { createReadiness } from './operation/readiness.ts'
import { watchAppView } from './operation/watch.ts'

/** An AppView that answers; `await using` stops it: requests in flight finish, then workers, then the database. */
export interface RunningAppView {
  url: string
  server: Server
  context: AppContext
  /** Goes by these settings from now on, as far as `reloaded` in `config.ts` has them. @throws {SettingsError} */
  reload(config: AppViewConfig): void
  [Symbol.asyncDispose](): Promise<void>
}

/** What else may be put in place of the usual. */
export interface AppViewStartOverrides extends AppViewOverrides {
  /** Where it answers, in place of a server of its own. */
  serve?: Serve
}

/** Starts the AppView: the only way, for the doors, the dev network and tests alike. */
export async function startAppView(
  config: AppViewConfig,
  overrides: AppViewStartOverrides = {},
): Promise<RunningAppView> {
  await using opened = new AsyncDisposableStack()
  const context = opened.use(await createContext(config, overrides))
  const address = parseListenAddress(config.server.addr)
  const { drain_delay: drainDelayMs, index_lag_max: indexLagMsMax } = config.readiness
  const readiness = createReadiness({ ...context, indexLagMsMax })
  const running = opened.use(
    await (overrides.serve ?? serve)(createApp(context, readiness), {
      ...address,
      intercept: createInterceptor(context),
    }),
  )
  const { database } = appViewPaths(config, process.getuid?.() === 0)
  opened.use(measureDatabase('appview', context.db, database))
  opened.use(measureConnections('appview', running.server))
  opened.use(watchAppView(context))
  if (config.metrics.enabled) opened.use(await serveMetrics(config.metrics.addr))
  // Who listens to pushes would hold up the server's end.
  opened.defer(() => context.livePushes[Symbol.asyncDispose]())
  context.notifications.start()
  context.dataDeletionRuns.start()
  context.searchIndexing.start()
  context.holdHealth.start()
  context.untaggedRemovals.start()
  context.webhookDeliveries.start()
  const { urls, firehose_urls: firehoseUrls } = config.jetstream
  if (urls.length > 0 || firehoseUrls.length > 0) context.indexer.start()
  const warning = proxyWarning(config.server.base_url, config.server.trusted_proxies)
  if (warning !== undefined) context.log.warn(warning)
  context.log.info({ url: config.server.base_url, port: running.port }, 'the AppView is up')
  // First of all: a load balancer is given time to send people elsewhere.
  opened.defer(() => {
    readiness.stop()
    return sleep(drainDelayMs)
  })
  const resources = opened.move()
  return {
    url: config.server.base_url.replace(/\/+$/, ''),
    server: running.server,
    context,
    reload: (next) => context.settings.replace(next),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
