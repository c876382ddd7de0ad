import type { Did } from '../../atproto/syntax.ts'

/** The input of `io.atcr.hold.notifyManifest`. */
export interface ManifestNotice {
  operation: 'push' | 'pull'
  repository: string
  userDid: Did
  manifestDigest: string
  tag?: string
  manifest: Record<string, unknown>
}

/** Telling holds what happened. */
export interface HoldNotifier {
  /** @throws {AppViewError} `hold_unreachable`, `hold_refused`, `quota_exceeded`, `session_lost` */
  notify(call: { holdDid: Did; accountDid: Did }, notice: ManifestNotice): Promise<void>
}
