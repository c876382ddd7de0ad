import type { NodeSavedSession, NodeSavedSessionStore } from '@atproto/oauth-client-node'

import type { Did } from './syntax.ts'

/** Tokens of accounts. What is there may change at any time: by a login, a sign-out, a renewal elsewhere. */
export interface OAuthSessionStore extends NodeSavedSessionStore {
  /** Puts `to` in the place of `from`, or nothing when undefined. False when other tokens, or none, are there by now. */
  replace(did: Did, from: NodeSavedSession, to: NodeSavedSession | undefined): Promise<boolean>
}

/** Whether they come from the same login and the same renewal. */
export function isSameTokens(one: NodeSavedSession, other: NodeSavedSession): boolean {
  return one.tokenSet.access_token === other.tokenSet.access_token
}
