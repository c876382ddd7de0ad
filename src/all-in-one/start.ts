import { startAppView, type RunningAppView } from '../appview/start.ts'
import { startHold, type RunningHold } from '../hold/start.ts'
import { parseListenAddress, serve, type Serve } from '../http/serve.ts'
import { SharedServer } from '../http/shared-server.ts'
import { logger } from '../lib/log.ts'
import { appViewConfigOf, hasHoldItsOwnHost, holdConfigOf, holdUrl, type AllInOneConfig } from './config.ts'
import { roomChooser, type Room } from './rooms.ts'

/** AppView and hold behind one port. Disposing it stops the AppView, which needs the hold, and then the hold. */
export interface RunningAllInOne extends AsyncDisposable {
  appview: RunningAppView
  hold: RunningHold
}

/** How the AppView is named in a DID document that it shares with the hold. */
const appViewService = { fragment: 'atcr_appview', type: 'AtcrAppViewService' }

/** Starts AppView and hold in this process. @throws {SettingsError} */
export async function startAllInOne(config: AllInOneConfig): Promise<RunningAllInOne> {
  await using stack = new AsyncDisposableStack()
  const url = holdUrl(config)
  const hasOwnHost = hasHoldItsOwnHost(config)
  const shared = stack.use(
    await SharedServer.open<Room>({
      ...parseListenAddress(config.addr),
      choose: roomChooser(hasOwnHost ? { appview: new URL(config.address), hold: url } : undefined),
    }),
  )
  // First the hold: `/health` is the AppView's, and says that both are up.
  const near = nearDoor(shared.serveAs('hold'))
  const hold = stack.use(
    await startHold(holdConfigOf(config), {
      serve: near.serve,
      neighbours: hasOwnHost ? [] : [appViewService],
    }),
  )
  const appview = stack.use(
    await startAppView(appViewConfigOf(config, hold.did), {
      serve: shared.serveAs('appview'),
      nearHold: { origin: url.origin, url: near.url() },
    }),
  )
  logger('atcr').info({ url: config.address, port: shared.port }, 'the registry is ready')
  const owned = stack.move()
  return { appview, hold, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/**
 * A second door of the hold, on loopback and for the AppView alone: the public name may lead to a proxy or a router that
 * lets nobody out and in again. It is open until the hold stops, when the shared one is long closed.
 */
function nearDoor(serveShared: Serve): { serve: Serve; url: () => string } {
  let port = 0
  return {
    url: () => `http://127.0.0.1:${port}`,
    serve: async (app, options) => {
      await using stack = new AsyncDisposableStack()
      const near = stack.use(await serve(app, { ...options, hostname: '127.0.0.1', port: 0 }))
      const shared = stack.use(await serveShared(app, options))
      port = near.port
      const owned = stack.move()
      return { ...shared, [Symbol.asyncDispose]: () => owned.disposeAsync() }
    },
  }
}
