import type { Did } from '../../atproto/syntax.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import type { Tag } from '../../protocol/oci/reference.ts'
import type { AppViewDb } from '../db/schema.ts'

/** A manifest that somebody pushed, under one tag; a push with several tags is several events. */
export interface PushEvent {
  ownerDid: Did
  repository: string
  /** Absent for what was pushed by its digest alone, such as the platforms of an index, or a signature. */
  tag?: Tag
  digest: Digest
  mediaType: string
  holdDid: Did
  /** Who sent it. */
  pusherDid: Did
  /** When: the same to the millisecond as `updatedAt` of the tag's record. */
  at: Date
}

/** What is done about pushes. */
export interface PushSubscriber {
  /**
   * In the transaction that makes the push visible: rows written here are there if and only if the push is. It must not
   * ask the network, and when it throws, the push fails.
   */
  write?: (tx: AppViewDb, push: PushEvent) => Promise<void>
  /** After that transaction, in the process that took the push. It is lost when the process dies; it must not throw. */
  tell?: (push: PushEvent) => void
}

/**
 * The one place that learns of pushes through this AppView: every tag that a push put, in the order of their commits,
 * also where the tag named the same manifest before. What the event stream tells of later is not told here again.
 */
export class PushEvents {
  readonly #subscribers = new Set<PushSubscriber>()

  /** @returns a function that ends the subscription */
  subscribe(subscriber: PushSubscriber): () => void {
    this.#subscribers.add(subscriber)
    return () => this.#subscribers.delete(subscriber)
  }

  /** Notes pushes whose rows are being written by `tx`; call {@link tell} once that is committed. */
  async note(tx: AppViewDb, pushes: readonly PushEvent[]): Promise<void> {
    for (const push of pushes) for (const subscriber of this.#subscribers) await subscriber.write?.(tx, push)
  }

  /** Tells of pushes that were noted and are committed. */
  tell(pushes: readonly PushEvent[]): void {
    for (const push of pushes) for (const subscriber of this.#subscribers) subscriber.tell?.(push)
  }
}
