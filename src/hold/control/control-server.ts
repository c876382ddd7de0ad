import { chmod, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Server } from 'node:http'

import { logger } from '../../lib/log.ts'
import { collectBytes } from '../../lib/streams.ts'
import type { HoldContext } from '../context.ts'
import type { MaintenanceTask } from '../services/maintenance.ts'
import { controlPathBytesMax } from './control-path.ts'

const log = logger('hold:control')
const taskBytesMax = 64 * 1024

/**
 * Takes tasks from the commands of this machine while the hold serves: HTTP over a socket in the data folder that only
 * the hold's own user may open. `POST /` with a task as JSON; the answer is its events, one JSON a line.
 */
export async function openControlServer(
  path: string,
  needs: Pick<HoldContext, 'maintenance'>,
): Promise<AsyncDisposable> {
  const stop = new AbortController()
  if (Buffer.byteLength(path) > controlPathBytesMax) {
    log.warn({ path }, 'the path of the data folder is too long for a socket: commands need the hold stopped')
    return { [Symbol.asyncDispose]: async () => undefined }
  }
  const server = createServer((request, response) => void answer(request, response, needs, stop.signal))
  // One of an earlier process, which is dead: the data folder is locked.
  await rm(path, { force: true })
  await listen(server, path)
  await chmod(path, 0o600)
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort(new Error('the hold stops'))
      server.close()
      server.closeAllConnections()
      await rm(path, { force: true })
    },
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { maintenance }: Pick<HoldContext, 'maintenance'>,
  stop: AbortSignal,
): Promise<void> {
  const left = new AbortController()
  response.once('close', () => left.abort(new Error('nobody listens')))
  const say = (line: object) => void response.write(`${JSON.stringify(line)}\n`)
  try {
    const task = JSON.parse(Buffer.from(await collectBytes(request, taskBytesMax)).toString('utf8')) as MaintenanceTask // prettier-ignore
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    log.info({ task }, 'a task from the command line')
    for await (const event of maintenance.run(task, AbortSignal.any([left.signal, stop]))) say(event)
  } catch (err) {
    log.warn({ err }, 'a task from the command line failed')
    say({ kind: 'failed', values: { message: err instanceof Error ? err.message : String(err) } })
  }
  response.end()
}
