import type { Did } from '../../atproto/syntax.ts'

/** An account at the PDS that its DID document names now. */
export interface OwnerAccount {
  readonly did: Did
  readonly pdsUrl: string
}

/** What the network says of an account. */
export type OwnerState =
  | { state: 'active'; account: OwnerAccount }
  /** The directory or the PDS says that there is no such account. */
  | { state: 'gone'; reason: string }
  /** Nobody could or would say: unreachable, deactivated, suspended, taken down, in the middle of a move. */
  | { state: 'unsure'; reason: string }

/** A manifest record in its owner's repo. */
export interface OwnedManifest {
  readonly rkey: string
  readonly value: unknown
}

/** The manifests of other people's repos, as their PDSes serve them to anyone. */
export interface OwnerManifests {
  /** Looks anew; nothing cached counts. Never throws. */
  findAccount(did: Did): Promise<OwnerState>
  /** All manifest records, page by page. That one is absent from it proves nothing. @throws {AtprotoError} */
  listManifests(account: OwnerAccount): AsyncIterable<readonly OwnedManifest[]>
  /** Whether there is such a record; false only when the PDS says so. @throws {AtprotoError} */
  hasManifest(account: OwnerAccount, rkey: string): Promise<boolean>
  /** The exact bytes of a manifest, unverified; undefined when the PDS has none. @throws {AtprotoError} */
  findManifestBytes(account: OwnerAccount, blobCid: string): Promise<Uint8Array | undefined>
}
