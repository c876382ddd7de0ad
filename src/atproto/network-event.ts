import type { Did } from './syntax.ts'

/**
 * One event of the network, whoever told of it. `cursor` is what to resume after: microseconds since 1970 at Jetstream,
 * a sequence number at a firehose.
 */
export type NetworkEvent = { cursor: number } & (
  | { kind: 'put'; did: Did; collection: string; rkey: string; rev: string; cid: string; record: unknown }
  | { kind: 'delete'; did: Did; collection: string; rkey: string; rev: string }
  | { kind: 'identity'; did: Did; handle: string | undefined }
  /** `atMicros`: when, in microseconds since 1970, by the account's own server, but not later than it was heard of. */
  | { kind: 'account'; did: Did; isActive: boolean; status: string | undefined; atMicros: number }
  /**
   * What happened to an account's records is not told here: they have to be read. `concernsUs`: something happened to
   * records that were asked for; else it may be about any.
   */
  | { kind: 'sync'; did: Did; concernsUs: boolean }
  /** Events are missing, of anyone. */
  | { kind: 'gap' }
)

/** The time an event says it happened at, as microseconds; `heardMicros` when it claims none, or one to come. */
export function eventMicros(claimed: string | undefined, heardMicros: number): number {
  const micros = Date.parse(claimed ?? '') * 1000
  return Number.isFinite(micros) && micros > 0 ? Math.min(micros, heardMicros) : heardMicros
}
