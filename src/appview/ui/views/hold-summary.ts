import { cleanText } from '../../../lib/format.ts'
import type { Captain, Hold } from '../../db/holds.ts'
import { holdView, type HoldView } from './hold-name.ts'

/** A hold as lists name it, and what it says of itself. */
export interface HoldSummary extends HoldView {
  /** Undefined while the hold has not said. */
  captain: Captain | undefined
  region: string | undefined
}

const regionLengthMax = 64

export function summarizeHold({ captain, did }: Pick<Hold, 'captain' | 'did'>): HoldSummary {
  const region = captain?.region
  return {
    ...holdView(did),
    captain,
    region: region === undefined ? undefined : cleanText(region, regionLengthMax),
  }
}
