import { request, type IncomingMessage } from 'node:http'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'

import { CommandError } from '../../lib/door.ts'
import { holdPaths, type HoldConfig } from '../config.ts'
import { controlPath } from '../control/control-path.ts'
import type { MaintenanceEvent, MaintenanceTask } from '../services/maintenance.ts'
import { openContext } from './open-context.ts'

/**
 * Runs a task in the hold that serves this data folder, or here when none does. Ends early, with an error, when the hold
 * that was asked stops. @throws {SettingsError}
 */
export async function* runTask(config: HoldConfig, task: MaintenanceTask): AsyncGenerator<MaintenanceEvent> {
  const events = await askHold(config, task)
  if (events !== undefined) return yield* events
  await using context = await openContext(config)
  yield* context.maintenance.run(task, new AbortController().signal)
}

/** The same in the hold that serves this data folder; undefined when none does. */
export async function askHold(
  config: HoldConfig,
  task: MaintenanceTask,
): Promise<AsyncGenerator<MaintenanceEvent> | undefined> {
  const { database } = holdPaths(config, process.getuid?.() === 0)
  const answer = await ask(controlPath(dirname(database)), task)
  return answer && readEvents(answer)
}

async function* readEvents(answer: IncomingMessage): AsyncGenerator<MaintenanceEvent> {
  let isOver = false
  // A hold that stops cuts it off; that is told below.
  answer.on('error', () => undefined)
  try {
    for await (const line of createInterface({ input: answer })) {
      const event = JSON.parse(line) as MaintenanceEvent | { kind: 'failed'; values: { message: string } }
      if (event.kind === 'failed') throw new CommandError(event.values.message)
      isOver = event.kind === 'done' || event.kind === 'refused'
      yield event
    }
  } finally {
    // Whoever stops listening says so.
    answer.destroy()
  }
  if (!isOver) throw new CommandError('the hold stopped before it was done; ask again when it is back')
}

/** The answer of the hold that listens there; undefined when none does. */
function ask(path: string, task: MaintenanceTask): Promise<IncomingMessage | undefined> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: path, method: 'POST', path: '/' }, resolve)
    call.once('error', (error) => {
      const isAbsent = 'code' in error && ['ENOENT', 'ECONNREFUSED', 'EINVAL'].includes(String(error.code))
      if (isAbsent) resolve(undefined)
      else reject(error)
    })
    call.end(JSON.stringify(task))
  })
}
