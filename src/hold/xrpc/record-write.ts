import type { HoldContext } from '../context.ts'
import type { Validation } from '../pds/record-schemas.ts'
import type { CallerNeeds } from './authenticate.ts'

/** What the methods work with that write records for the captain. */
export type RecordWriteNeeds = CallerNeeds & Pick<HoldContext, 'identity' | 'recordWrites'>

/** `validate` of the repo methods. Records the hold itself relies on are checked even when it is false. */
export function validationOf(validate: boolean | undefined): Validation {
  if (validate === undefined) return 'known'
  return validate ? 'required' : 'own'
}
