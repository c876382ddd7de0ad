import { constants } from 'node:fs'
import { access } from 'node:fs/promises'

import { sql } from 'kysely'

import { logger } from '../../lib/log.ts'
import { Readiness } from '../../lib/readiness.ts'
import type { HoldContext } from '../context.ts'

type Needs = Pick<HoldContext, 'database' | 'identity' | 'storageHealth'>

const log = logger('hold')

/** With less the next push fails half-way. */
const freeBytesMin = 64 * 1024 * 1024

/** What a hold needs to do its work. */
export function createReadiness({ database, identity, storageHealth }: Needs): Readiness {
  return new Readiness({
    parts: {
      database: async () => {
        await sql`select 1`.execute(database)
        return 'ok'
      },
      keys: async () => {
        await identity.signingKey.sign(new Uint8Array(32))
        return 'ok'
      },
      storage: async () => {
        const health = await storageHealth.check()
        if (health.state === 'failed') throw new Error(health.message)
        if (health.driver === 'filesystem') await access(health.place, constants.W_OK)
        if ((health.freeBytes ?? freeBytesMin) < freeBytesMin) throw new Error(`only ${health.freeBytes} bytes are free`) // prettier-ignore
        return 'ok'
      },
    },
    onChange: (part, state, err) => log.warn({ part, state, err }, 'what the hold needs has changed'),
  })
}
