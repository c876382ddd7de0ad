import { normalizeDid, parseDid, type Did } from '../atproto/syntax.ts'
import { parseListenAddress, serve, type RunningServer } from '../http/serve.ts'
import { SettingsError } from '../lib/config.ts'
import { systemNow } from '../lib/clock.ts'
import { logger } from '../lib/log.ts'
import { buildCaptainRecord, captainCollection, captainRkey } from '../protocol/lexicon/captain-record.ts'
import { createApp } from './app.ts'
import { holdPaths, type HoldConfig } from './config.ts'
import { createContext, type HoldContext, type HoldOverrides } from './context.ts'

const log = logger('hold')

/** A hold that answers. Disposing it ends requests in flight, then closes everything. */
export interface RunningHold extends AsyncDisposable {
  /** `server.public_url`, without a slash at the end. */
  url: string
  did: Did
  server: RunningServer
  context: HoldContext
}

/** The only way to start a hold: the door, the dev network and the tests use it. @throws {SettingsError} */
export async function startHold(config: HoldConfig, overrides: HoldOverrides = {}): Promise<RunningHold> {
  await using stack = new AsyncDisposableStack()
  const isRoot = process.getuid?.() === 0
  const context = stack.use(await createContext(config, holdPaths(config, isRoot), overrides))
  await christen(config, context, overrides)
  const server = await serve(createApp(context), {
    ...parseListenAddress(config.server.addr),
    onUpgrade: (request, socket, head) => {
      if (!context.outbox.handleUpgrade(request, socket, head)) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n') // prettier-ignore
    },
  })
  stack.use(server)
  // Before the server, which waits for its connections: those of the firehose end when they are told to.
  stack.use(context.outbox)
  context.jobs.settle.kick()
  context.jobs.sweep.kick()
  log.info({ url: context.publicUrl, did: context.identity.did, port: server.port }, 'hold is ready')
  const owned = stack.move()
  return {
    url: context.publicUrl,
    did: context.identity.did,
    server,
    context,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** At first start: who the captain is, and the captain as first of the crew. Afterwards the records rule. */
async function christen(
  config: HoldConfig,
  { repo, crew }: HoldContext,
  overrides: HoldOverrides,
): Promise<void> {
  const { server, registration } = config
  let ownerDid = (await crew.findCaptain())?.ownerDid
  if (ownerDid === undefined) {
    if (registration.owner_did === undefined) {
      throw new SettingsError(['registration.owner_did: missing; a new hold needs to know its captain'])
    }
    const captain = buildCaptainRecord({
      ownerDid: normalizeDid(parseDid(registration.owner_did)),
      isPublic: server.public,
      allowAllCrew: registration.allow_all_crew,
      enableBlueskyPosts: registration.enable_bluesky_posts,
      deployedAt: (overrides.now ?? systemNow)(),
      ...(registration.region === undefined ? {} : { region: registration.region }),
      successorDid: server.successor,
    })
    await repo.putRecord(captainCollection, captainRkey, captain)
    ownerDid = (await crew.getCaptain()).ownerDid
    log.info({ captain: ownerDid }, 'a new hold')
  }
  // Apart from the above, so that a start that was cut in between is made good by the next.
  if ((await crew.find(ownerDid)) === undefined) {
    await crew.admit(ownerDid, { role: 'owner', permissions: ['blob:read', 'blob:write', 'crew:admin'] })
  }
}
