import type { Secp256k1Keypair } from '@atproto/crypto'

import type { Now } from '../../lib/clock.ts'
import type { Database } from '../../lib/database.ts'
import type { PdsTables } from '../db/pds-tables.ts'
import type { Sequencer } from './sequencer.ts'

type Did = `did:${string}:${string}`

/** One change to the data repo. `put` writes whether or not the record is there; without `rkey` a TID is made. */
export type RecordWrite =
  | { action: 'create'; collection: string; rkey?: string | undefined; record: unknown }
  | { action: 'put' | 'update'; collection: string; rkey: string; record: unknown }
  | { action: 'delete'; collection: string; rkey: string }

/** What a write left behind; `cid` is undefined after a delete. */
export interface WriteResult {
  uri: string
  cid: string | undefined
}

export interface CommitResult {
  cid: string
  rev: string
}

export interface StoredRecord {
  uri: string
  cid: string
  /** Lexicon value: links are CIDs, bytes are byte arrays (`lexToJson` prints it). */
  value: Record<string, unknown>
}

export interface HoldRepoOptions {
  database: Database<PdsTables>
  did: Did
  signingKey: Secp256k1Keypair
  now: Now
}

export class HoldRepo {
  readonly did: Did
  readonly sequencer: Sequencer

  private constructor(did: Did, sequencer: Sequencer) {
    this.did = did
    this.sequencer = sequencer
  }

  /** Opens the data repo; the first time it creates an empty signed one and announces it. */
  static async open(options: HoldRepoOptions): Promise<HoldRepo> {
    throw new Error(`soon ${options.did}`)
  }
  /** Record: JSON or lexicon value; `$type` is filled in. @throws {RepoError} record_invalid, record_exists */
  createRecord(
    collection: string,
    rkey: string | undefined,
    record: unknown,
  ): Promise<{ uri: string; cid: string; rev: string }>
  createRecord(): Promise<never> {
    throw new Error('soon')
  }
  /** The same content again makes no commit. */
  putRecord(collection: string, rkey: string, record: unknown): Promise<{ uri: string; cid: string; rev: string }>
  putRecord(): Promise<never> {
    throw new Error('soon')
  }
  /** Resolves to whether there was a record to delete. */
  deleteRecord(collection: string, rkey: string): Promise<boolean>
  deleteRecord(): Promise<never> {
    throw new Error('soon')
  }
  /** All in one commit, or none; at most 200. */
  applyWrites(
    writes: readonly RecordWrite[],
    options?: { swapCommit?: string },
  ): Promise<{ commit: CommitResult; results: WriteResult[] }>
  applyWrites(): Promise<never> {
    throw new Error('soon')
  }
  findRecord(collection: string, rkey: string): Promise<StoredRecord | undefined>
  findRecord(): Promise<never> {
    throw new Error('soon')
  }
  /** Newest rkey first unless `reverse`; `cursor` is the last rkey of the page before. */
  listRecords(
    collection: string,
    options?: { limit?: number; cursor?: string; reverse?: boolean },
  ): Promise<{ records: StoredRecord[]; cursor: string | undefined }>
  listRecords(): Promise<never> {
    throw new Error('soon')
  }
  countRecords(collection?: string): Promise<number>
  countRecords(): Promise<never> {
    throw new Error('soon')
  }
  listCollections(): Promise<string[]>
  listCollections(): Promise<never> {
    throw new Error('soon')
  }
  /** The data repo as a CAR v1, in chunks, as it was when the first chunk was asked for. */
  exportCar(options?: { since?: string }): AsyncIterable<Uint8Array>
  exportCar(): never {
    throw new Error('soon')
  }
  getLatestCommit(): CommitResult
  getLatestCommit(): never {
    throw new Error('soon')
  }
}
