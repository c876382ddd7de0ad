import { normalizeDid } from '../../atproto/syntax.ts'
import { logger } from '../../lib/log.ts'
import { crewCollection, crewRkey, parseCrewRecord } from '../../protocol/lexicon/crew-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import type { HoldRepo } from '../pds/repo.ts'

const log = logger('hold')

const pageSize = 100

/**
 * Older holds gave crew records any key, and one member several: each goes under the key that follows from its member,
 * where today's programs look for it, unless there is one already. How many went. Ours are left as they are.
 */
export async function moveLegacyCrew(
  repo: Pick<HoldRepo, 'applyWrites' | 'findRecord' | 'listRecords'>,
): Promise<number> {
  let count = 0
  let cursor: string | undefined
  do {
    const page = await repo.listRecords(crewCollection, { limit: pageSize, cursor, reverse: true })
    for (const { uri, value } of page.records) {
      const rkey = uri.slice(uri.lastIndexOf('/') + 1)
      const wanted = wantedRkey(value)
      if (wanted === undefined || wanted === rkey) continue
      const present = await repo.findRecord(crewCollection, wanted)
      await repo.applyWrites([
        { action: 'delete', collection: crewCollection, rkey },
        ...(present === undefined
          ? [{ action: 'create', collection: crewCollection, rkey: wanted, record: value } as const]
          : []),
      ])
      count += 1
    }
    cursor = page.cursor
  } while (cursor !== undefined)
  if (count > 0) log.info({ count }, 'crew records of an older hold were moved to the keys of their members')
  return count
}

/** Undefined for what is no crew record: it is left alone. */
function wantedRkey(value: unknown): string | undefined {
  try {
    return crewRkey(normalizeDid(parseCrewRecord(value).memberDid))
  } catch (error) {
    if (error instanceof RecordError) return undefined
    throw error
  }
}
