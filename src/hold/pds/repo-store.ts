import type { Cid } from '@atproto/lex'
import { BlockMap, ReadableBlockstore, type RepoStorage } from '@atproto/repo'

import { assert } from '../../lib/assert.ts'
import type { Database } from '../../lib/database.ts'
import type { PdsTables } from '../db/pds-tables.ts'
import { findBlock, listBlocks } from '../db/repo-blocks.ts'

const cacheBytesMax = 16 * 1024 * 1024
const cachedBlockBytesMax = 16 * 1024
/** A larger commit, an import, leaves behind more than fits. */
const blocksPerCommitMax = 5000

/**
 * The block table as the repository library reads it, with the blocks used last in memory: every write walks from the
 * root of the record tree. Writing is for `HoldRepo` alone, in its own transaction.
 */
export class RepoStore extends ReadableBlockstore implements RepoStorage {
  readonly #database: Database<PdsTables>
  readonly #cache = new Map<string, Uint8Array>()
  #cacheBytes = 0

  constructor(database: Database<PdsTables>) {
    super()
    this.#database = database
  }

  async getBytes(cid: Cid): Promise<Uint8Array | null> {
    const key = cid.toString()
    const cached = this.#cache.get(key)
    if (cached !== undefined) {
      // Moves it to the young end: a Map keeps the order of insertion.
      this.#cache.delete(key)
      this.#cache.set(key, cached)
      return cached
    }
    const bytes = await findBlock(this.#database, key)
    if (bytes === undefined) return null
    this.#remember(key, bytes)
    return bytes
  }

  async has(cid: Cid): Promise<boolean> {
    return (await this.getBytes(cid)) !== null
  }

  async getBlocks(cids: Cid[]): Promise<{ blocks: BlockMap; missing: Cid[] }> {
    const found = await listBlocks(
      this.#database,
      cids.map((cid) => cid.toString()),
    )
    const bytesOf = new Map(found.map(({ cid, bytes }) => [cid, bytes]))
    const blocks = new BlockMap()
    const missing: Cid[] = []
    for (const cid of cids) {
      const bytes = bytesOf.get(cid.toString())
      if (bytes === undefined) missing.push(cid)
      else blocks.set(cid, bytes)
    }
    return { blocks, missing }
  }

  /**
   * Takes over what a commit wrote and took away, once that is in the database. Of what it wrote only the tree is kept:
   * records are read together with their rows.
   */
  applyToCache(added: BlockMap, removed: readonly string[], records: ReadonlySet<string>): void {
    for (const key of removed) this.#forget(key)
    if (added.size > blocksPerCommitMax) return
    for (const [cid, bytes] of added) {
      const key = cid.toString()
      if (!records.has(key)) this.#remember(key, bytes)
    }
  }

  clearCache(): void {
    this.#cache.clear()
    this.#cacheBytes = 0
  }

  #remember(key: string, bytes: Uint8Array): void {
    if (bytes.byteLength > cachedBlockBytesMax) return
    this.#forget(key)
    // A copy: encoders and drivers hand out slices of large pooled buffers, which the cache would keep alive.
    this.#cache.set(key, new Uint8Array(bytes))
    this.#cacheBytes += bytes.byteLength
    for (const [oldest] of this.#cache) {
      if (this.#cacheBytes <= cacheBytesMax) break
      this.#forget(oldest)
    }
  }

  #forget(key: string): void {
    const bytes = this.#cache.get(key)
    if (bytes === undefined) return
    this.#cache.delete(key)
    this.#cacheBytes -= bytes.byteLength
  }

  // The library's interface wants these; nothing of the library that we use calls them.
  async getRoot(): Promise<Cid | null> {
    return notHere()
  }
  async putBlock(): Promise<void> {
    notHere()
  }
  async putMany(): Promise<void> {
    notHere()
  }
  async updateRoot(): Promise<void> {
    notHere()
  }
  async applyCommit(): Promise<void> {
    notHere()
  }
}

function notHere(): never {
  assert(false, 'the data repo is written by HoldRepo only')
}
