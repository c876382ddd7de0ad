import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import type http from 'node:http'
import net, { type Socket } from 'node:net'

/** An address that cannot be listened on, because another program does or because it is not ours; fit for a person. */
export class ListenError extends Error {
  override name = 'ListenError'
}

/** What is to listen where. */
export interface Where {
  /** As it stands in a sentence: `the PDS`. */
  what: string
  host: string
  port: number
}

/** A server that is listening, and a way to end it at once, websockets and kept-alive connections included. */
export interface Listening {
  server: http.Server
  port: number
  stop(): Promise<void>
}

/** Listens on `host:port` (0: any free port). `what` names the server should the port be busy. */
export async function listen(server: http.Server, where: Where): Promise<Listening> {
  server.listen(where.port, where.host)
  return adopt(server, where)
}

/** As {@link listen}, for a server whose `listen` was called already in this very turn. */
export async function adopt(server: http.Server, where: Where): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  try {
    await once(server, 'listening')
  } catch (error) {
    throw explained(error, where)
  }
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP')
  // Uploads of any length are normal here.
  server.requestTimeout = 0
  return {
    server,
    port: address.port,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** Each process of a test run chooses among ports of its own, so that no other gets one that is not listened on yet. */
const firstPort = 15_000
const portsOfProcess = 3_000
const processes = 5
const from = firstPort + portsOfProcess * (Number(process.env['VITEST_POOL_ID'] ?? 0) % processes)
/** One after the other, from anywhere: none is given out twice before it is listened on. */
let given = randomInt(portsOfProcess)

/**
 * A port nobody listens on, for servers that must know their address before they listen. It is none of those that systems
 * give out by themselves, so that nobody else gets it in between.
 */
export async function findFreePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = from + (given++ % portsOfProcess)
    try {
      await assertPortFree({ host, port, what: 'a server' })
      return port
    } catch (error) {
      if (!(error instanceof ListenError)) throw error
    }
  }
}

/** Throws {@link ListenError} when one cannot listen there; asked for every port before anything is started. */
export async function assertPortFree(where: Where): Promise<void> {
  const server = net.createServer().listen(where.port, where.host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw explained(error, where)
  }
  server.close()
  await once(server, 'close')
}

function explained(error: unknown, { host, port, what }: Where): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'EADDRINUSE') {
    return new ListenError(`${what} cannot start: port ${port} on ${host} is in use by another program`, {
      cause: error,
    })
  }
  if (code === 'EACCES')
    return new ListenError(`${what} cannot start: port ${port} may not be opened by this user`)
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND' || code === 'EINVAL') {
    return new ListenError(`${what} cannot start: ${host} is not an address of this machine`, {
      cause: error,
    })
  }
  return error
}
