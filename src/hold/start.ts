import { dirname } from 'node:path'

import { proxyWarning, requestAddress, trustedProxies } from '../http/client-address.ts'
import { serveMetrics } from '../http/metrics-server.ts'
import { measureConnections } from '../http/request-metrics.ts'
import { parseListenAddress, serve, type RunningServer, type Serve } from '../http/serve.ts'
import { sleep } from '../lib/clock.ts'
import { measureDatabase } from '../lib/database-metrics.ts'
import { logger } from '../lib/log.ts'
import { createApp } from './app.ts'
import { holdPaths, type HoldConfig } from './config.ts'
import { controlPath } from './control/control-path.ts'
import { openControlServer } from './control/control-server.ts'
import { createContext, type HoldContext, type HoldOverrides } from './context.ts'
import { createReadiness } from './operation/readiness.ts'
import { watchHold } from './operation/watch.ts'

const log = logger('hold')

/** A hold that answers. Disposing it ends requests in flight, then closes everything. */
export interface RunningHold extends AsyncDisposable {
  /** `server.public_url`, without a slash at the end. */
  url: string
  did: HoldContext['identity']['did']
  server: RunningServer
  context: HoldContext
  /** Goes by these settings from now on, as far as `reloaded` in `config.ts` has them. */
  reload(config: HoldConfig): void
}

/** What else may be put in place of the usual. */
export interface HoldStartOverrides extends HoldOverrides {
  /** Where it answers, in place of a server of its own. */
  serve?: Serve
}

/** The only way to start a hold: the doors, the dev network and the tests use it. @throws {SettingsError} */
export async function startHold(
  config: HoldConfig,
  overrides: HoldStartOverrides = {},
): Promise<RunningHold> {
  await using stack = new AsyncDisposableStack()
  const paths = holdPaths(config, process.getuid?.() === 0)
  const context = stack.use(await createContext(config, paths, overrides))
  await context.stats.recover()
  // After the server, whose last requests are counted too.
  stack.defer(() =>
    context.stats.flush().then(
      () => undefined,
      (error: unknown) => log.error({ err: error }, 'counters are written at the next start'),
    ),
  )
  const readiness = createReadiness(context)
  const proxies = trustedProxies(context.settings)
  const server = await (overrides.serve ?? serve)(createApp(context, readiness), {
    ...parseListenAddress(config.server.addr),
    onUpgrade: (request, socket, head) => {
      const address = requestAddress(request, proxies)
      if (!context.outbox.handleUpgrade(request, socket, head, address)) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n') // prettier-ignore
    },
  })
  stack.use(server)
  stack.use(measureDatabase('hold', context.database, paths.database))
  stack.use(measureConnections('hold', server.server))
  stack.use(watchHold(context))
  if (config.metrics.enabled) stack.use(await serveMetrics(config.metrics.addr))
  // Before the server, which waits for its connections: those of the firehose end when they are told to.
  stack.use(context.outbox)
  context.jobs.settle.kick()
  context.jobs.sweep.kick()
  context.jobs.flushStats.kick()
  stack.use(await openControlServer(controlPath(dirname(paths.database)), context))
  context.gcJob.kick()
  context.jobs.crawl.kick()
  context.jobs.moderation.kick()
  context.labelFeed?.start()
  context
    .giveAvatar()
    .catch((error: unknown) => log.warn({ err: error }, 'the profile stays without a picture'))
  if (config.registration.write_owner_records) void askOwner(context)
  const warning = proxyWarning(context.publicUrl, config.server.trusted_proxies)
  if (warning !== undefined) log.warn(warning)
  log.info({ url: context.publicUrl, did: context.identity.did, port: server.port }, 'hold is ready')
  // First of all: a load balancer is given time to send people elsewhere.
  stack.defer(() => {
    readiness.stop()
    return sleep(config.readiness.drain_delay)
  })
  const owned = stack.move()
  return {
    url: context.publicUrl,
    did: context.identity.did,
    server,
    context,
    reload: (next) => context.settings.replace(next),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** In the background: a hold that its owner's server does not answer is a hold all the same. */
async function askOwner({ registration }: HoldContext): Promise<void> {
  try {
    const url = await registration.open()
    if (url !== undefined) log.info(`Visit this URL to authorize: ${url.href}`)
  } catch (error) {
    log.warn({ err: error }, "the owner's server cannot be asked; the hold is not registered there")
  }
}
