import type { HoldCall } from './hold-uploads.ts'

/** What is about to be done at a hold as an account. */
export type HoldAction = 'start upload' | 'relay upload' | 'read blob'

/** Having what a hold will want to see at hand before it is asked. */
export interface HoldPreparation {
  /** Fetches service tokens that are not there yet. Never fails: whoever needs one is told why there is none. */
  prepare(call: HoldCall, action: HoldAction): Promise<void>
}
