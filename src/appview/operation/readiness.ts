import { sql } from 'kysely'

import { Readiness, type PartState } from '../../lib/readiness.ts'
import type { AppContext } from '../context.ts'

type Needs = Pick<AppContext, 'db' | 'indexer' | 'log' | 'registryTokens'> & {
  /** An index that is further behind shows tags that were moved since. */
  indexLagMsMax: number
}

/** What an AppView needs to do its work. */
export function createReadiness({ db, indexer, log, registryTokens, indexLagMsMax }: Needs): Readiness {
  return new Readiness({
    parts: {
      database: async () => {
        await sql`select 1`.execute(db)
        return 'ok'
      },
      keys: async () => {
        const { token } = await registryTokens.mint({ did: undefined, access: [] })
        await registryTokens.verify(token)
        return 'ok'
      },
      index: async () => indexState(indexer, indexLagMsMax),
    },
    onChange: (part, state, err) => log.warn({ part, state, err }, 'what the AppView needs has changed'),
  })
}

/**
 * A source that cannot be reached makes no instance better than another, and pulls go on without it: only one that is
 * being read, and is far behind, counts.
 */
function indexState(
  indexer: Pick<AppContext['indexer'], 'isStarted' | 'sources'>,
  lagMsMax: number,
): PartState {
  if (!indexer.isStarted) return 'off'
  return indexer.sources.some(({ lagSeconds = 0 }) => lagSeconds * 1000 > lagMsMax) ? 'late' : 'ok'
}
