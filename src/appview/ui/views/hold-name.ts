import type { Did } from '../../../atproto/syntax.ts'

/** A hold as pages name it. */
export interface HoldView {
  did: Did
  host: string
  /** The hold's page. */
  path: string
}

export function holdView(did: Did): HoldView {
  return { did, host: hostOf(did), path: `/h/${did.replaceAll('%', '%25')}` }
}

/** `did:web:hold.example%3A8080` → `hold.example:8080`; other DIDs as they are. */
function hostOf(did: Did): string {
  return did.startsWith('did:web:') ? did.slice('did:web:'.length).replace(/%3a/i, ':') : did
}
