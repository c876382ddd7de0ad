import { indexedCollections } from '../../src/appview/read-model/record-handlers.ts'
import { sleep } from '../../src/lib/clock.ts'
import type { Infrastructure } from './infrastructure.ts'
import type { Programs } from './programs.ts'

const settleMsMax = 30_000

/**
 * Waits until nothing is under way. One thing causes another (a push tells the hold, whose records are events, which
 * the index takes in), so it goes round until a whole round finds nothing new.
 */
export async function settle(infrastructure: Infrastructure, programs: Programs): Promise<void> {
  const deadlineMs = Date.now() + settleMsMax
  let before = ''
  for (;;) {
    await waitFor('accounts to be set up', deadlineMs, programs.appview.context.sailorSetups.idle())
    await waitFor('the hold to be told of every push', deadlineMs, notificationsSent(programs))
    const pds = await infrastructure.pds.lastSequence()
    const hold = lastHoldSequence(programs)
    await waitFor('events of the PDS', deadlineMs, infrastructure.jetstream.passed('pds', pds))
    await waitFor('events of the hold', deadlineMs, infrastructure.jetstream.passed('hold', hold))
    const lastMicros = infrastructure.jetstream.lastMicros([...indexedCollections])
    await waitFor('the index', deadlineMs, programs.appview.context.indexer.settled(lastMicros))
    const now = [pds, hold, lastMicros].join()
    if (now === before) return
    before = now
  }
}

/** Resolves when the AppView's queue of things to tell holds is empty. */
async function notificationsSent(programs: Programs): Promise<void> {
  const { db } = programs.appview.context
  while ((await db.selectFrom('hold_notifications').select('id').limit(1).executeTakeFirst()) !== undefined) {
    await sleep(10)
  }
}

function lastHoldSequence(programs: Programs): number {
  return programs.hold.context.repo.sequencer.newestSeq
}

async function waitFor(what: string, deadlineMs: number, happening: Promise<void>): Promise<void> {
  const abort = new AbortController()
  const tooLate = sleep(Math.max(deadlineMs - Date.now(), 0), abort.signal).then(() => {
    throw new Error(`the network has not settled: still waiting for ${what}`)
  })
  try {
    await Promise.race([happening, tooLate])
  } finally {
    abort.abort()
    await tooLate.catch(() => undefined)
  }
}
