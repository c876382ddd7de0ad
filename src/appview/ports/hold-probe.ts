import type { Did } from '../../atproto/syntax.ts'

/** What came of asking a hold whether it is there. */
export type HoldAnswer = { isUp: true; latencyMs: number } | { isUp: false; detail: string }

/** Asking a hold whether it is there. */
export interface HoldProbe {
  /** Never throws: whatever goes wrong is the answer. */
  ask(holdDid: Did): Promise<HoldAnswer>
}
