import { once } from 'node:events'
import type http from 'node:http'
import net, { type Socket } from 'node:net'

/** A port that another program holds; the message is fit for a person. */
export class PortBusyError extends Error {
  override name = 'PortBusyError'
  readonly port: number

  constructor(what: string, host: string, port: number) {
    super(`${what} cannot start: port ${port} on ${host} is in use by another program`)
    this.port = port
  }
}

/** A server that is listening, and a way to end it at once, websockets and kept-alive connections included. */
export interface Listening {
  server: http.Server
  port: number
  stop(): Promise<void>
}

/** Listens on `host:port` (0: any free port). `what` names the server should the port be busy. */
export async function listen(
  server: http.Server,
  { host, port, what }: { host: string; port: number; what: string },
): Promise<Listening> {
  server.listen(port, host)
  return adopt(server, { host, port, what })
}

/** As {@link listen}, for a server whose `listen` was called already in this very turn. */
export async function adopt(
  server: http.Server,
  { host, port, what }: { host: string; port: number; what: string },
): Promise<Listening> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  try {
    await once(server, 'listening')
  } catch (error) {
    throw isPortBusy(error) ? new PortBusyError(what, host, port) : error
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

/** A port nobody listens on just now, for servers that must know their address before they listen. */
export async function findFreePort(host = '127.0.0.1'): Promise<number> {
  const server = net.createServer().listen(0, host)
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Throws {@link PortBusyError} when somebody listens there; asked for every port before anything is started. */
export async function assertPortFree(what: string, host: string, port: number): Promise<void> {
  const server = net.createServer().listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw isPortBusy(error) ? new PortBusyError(what, host, port) : error
  }
  server.close()
  await once(server, 'close')
}

function isPortBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
