import type { Did } from '../../../atproto/syntax.ts'
import { cleanText } from '../../../lib/format.ts'
import type { Captain, Hold } from '../../db/holds.ts'

/** A hold as lists name it. */
export interface HoldSummary {
  did: Did
  /** What people call it: host and port of a did:web; other DIDs as they are, unless the hold's address is known. */
  host: string
  path: string
  /** Undefined while the hold has not said. */
  captain: Captain | undefined
  region: string | undefined
}

const regionLengthMax = 64

export function summarizeHold({ captain, did, url }: Hold): HoldSummary {
  const region = captain?.region
  return {
    did,
    host: hostOfHold(did, url),
    path: `/h/${did}`,
    captain,
    region: region === undefined ? undefined : cleanText(region, regionLengthMax),
  }
}

/** `did:web:hold.example%3A8080` → `hold.example:8080`. */
export function hostOfHold(did: Did, url?: string): string {
  if (did.startsWith('did:web:')) return did.slice('did:web:'.length).replace(/%3a/i, ':')
  return url !== undefined && URL.canParse(url) ? new URL(url).host : did
}
