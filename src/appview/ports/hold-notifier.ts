import type { Did } from '../../atproto/syntax.ts'

/** The input of `io.atcr.hold.notifyManifest`. */
export interface ManifestNotice {
  operation: 'push' | 'pull' | 'delete'
  repository: string
  userDid: Did
  manifestDigest: string
  tag?: string
  /** How many pulls it stands for; 1 unless told. */
  count?: number
  manifest: Record<string, unknown>
}

/** Telling holds what happened. */
export interface HoldNotifier {
  /** @throws {AppViewError} `hold_unreachable`, `hold_refused`, `quota_exceeded`, `session_lost` */
  notify(call: { holdDid: Did; accountDid: Did }, notice: ManifestNotice): Promise<void>
  /** Without saying on whose behalf. @throws {AppViewError} `hold_unreachable`, `hold_refused` */
  notifyAsNobody(holdDid: Did, notice: ManifestNotice): Promise<void>
}
