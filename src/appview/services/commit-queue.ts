import type { Did } from '../../atproto/syntax.ts'
import { KeyLock } from './key-lock.ts'

/** A PDS takes 200 writes in one commit; half of that keeps one commit quick. */
const writeCountMax = 100
/** A PDS may refuse bodies over 150 KiB. What is heavier by itself goes alone. */
const sizeBytesMax = 140_000

/** What an item adds to a commit. */
export interface CommitWeight {
  writeCount: number
  /** Estimated from above. */
  sizeBytes: number
}

interface Batch<Item> {
  items: Item[]
  weight: CommitWeight
  outcomes: Promise<readonly PromiseSettledResult<void>[]>
}

/**
 * What one account has to commit, one commit after another, because that is how its PDS does it anyway. Items that
 * arrive while a commit is under way wait together and go as one; each learns what became of itself.
 */
export class CommitQueue<Item> {
  readonly #lock = new KeyLock()
  /** The batch of each account that may still grow. */
  readonly #open = new Map<Did, Batch<Item>>()
  readonly #commit: (items: readonly Item[]) => Promise<readonly PromiseSettledResult<void>[]>

  /** `commit` answers one outcome for each item, in their order. */
  constructor(commit: (items: readonly Item[]) => Promise<readonly PromiseSettledResult<void>[]>) {
    this.#commit = commit
  }

  /** Resolves when the item is committed; rejects with its own failure. */
  async add(ownerDid: Did, item: Item, weight: CommitWeight): Promise<void> {
    const batch = this.#batchFor(ownerDid, weight)
    const index = batch.items.push(item) - 1
    batch.weight = sum(batch.weight, weight)
    const outcome = (await batch.outcomes)[index]
    if (outcome?.status === 'rejected') throw outcome.reason
  }

  /** Runs something else that commits, while nothing of this account's is under way. */
  alone<T>(ownerDid: Did, action: () => Promise<T>): Promise<T> {
    return this.#lock.run(ownerDid, action)
  }

  #batchFor(ownerDid: Did, weight: CommitWeight): Batch<Item> {
    const open = this.#open.get(ownerDid)
    if (open !== undefined && fits(sum(open.weight, weight))) return open
    const items: Item[] = []
    const batch: Batch<Item> = {
      items,
      weight: { writeCount: 0, sizeBytes: 0 },
      outcomes: this.#lock.run(ownerDid, () => {
        if (this.#open.get(ownerDid) === batch) this.#open.delete(ownerDid)
        return this.#commit(items)
      }),
    }
    this.#open.set(ownerDid, batch)
    return batch
  }
}

function sum(a: CommitWeight, b: CommitWeight): CommitWeight {
  return { writeCount: a.writeCount + b.writeCount, sizeBytes: a.sizeBytes + b.sizeBytes }
}

function fits({ writeCount, sizeBytes }: CommitWeight): boolean {
  return writeCount <= writeCountMax && sizeBytes <= sizeBytesMax
}
