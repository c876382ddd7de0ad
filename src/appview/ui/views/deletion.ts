import { cleanText, formatCount } from '../../../lib/format.ts'
import type { DataDeletion } from '../../db/data-deletions.ts'

type State = 'done' | 'waiting' | 'failed'

export interface DeletionView {
  isUnderWay: boolean
  hasFailures: boolean
  hasTokensLeft: boolean
  holds: { host: string; state: State; text: string }[]
  /** Undefined when they were to stay. */
  records: { state: State; count: number; reason: string | undefined } | undefined
  index: State | undefined
}

const reasonLengthMax = 300

/** A deletion of data as the page tells it. */
export function viewDeletion(deletion: DataDeletion): DeletionView {
  const { holds, recordsReason, recordsStatus, status, wantsIndex, wantsRecords } = deletion
  const isUnderWay = status === 'running'
  const hasFailedRecords = wantsRecords && recordsStatus === 'failed'
  return {
    isUnderWay,
    hasFailures: hasFailedRecords || holds.some((hold) => hold.status === 'failed'),
    hasTokensLeft: deletion.hasTokensLeft,
    holds: holds.map(({ deletedCount = 0, did, reason, status: state }) => ({
      host: did.startsWith('did:web:') ? decodeURIComponent(did.slice('did:web:'.length)) : did,
      state,
      text:
        state === 'done'
          ? `${formatCount(deletedCount, 'record')} about you deleted.`
          : reason === undefined
            ? 'Is being asked.'
            : `${cleanText(reason, reasonLengthMax)}.${state === 'waiting' ? ' It is asked again.' : ''}`,
    })),
    records: wantsRecords
      ? {
          state: recordsStatus,
          count: deletion.recordCount,
          reason: recordsReason === undefined ? undefined : cleanText(recordsReason, reasonLengthMax),
        }
      : undefined,
    index: !wantsIndex ? undefined : isUnderWay ? 'waiting' : hasFailedRecords ? 'failed' : 'done',
  }
}
