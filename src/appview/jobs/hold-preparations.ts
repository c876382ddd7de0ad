import type { Did } from '../../atproto/syntax.ts'
import { waitAtMost } from '../../lib/clock.ts'
import type { Logger } from '../../lib/log.ts'
import { parseRepositoryPath } from '../../protocol/oci/repository-path.ts'
import { listHoldsOfRepository } from '../db/repository-holds.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { HoldPreparation } from '../ports/hold-preparation.ts'
import type { Holds } from '../services/holds.ts'
import type { Access } from '../services/registry-tokens.ts'
import type { Repositories } from '../services/repositories.ts'

/** Repositories of one token that are looked at, and holds of each. */
const repositoryCountMax = 3
const holdCountMax = 3
/** Accounts that are prepared for at once; those beyond do without. */
const runningCountMax = 50
const stopPatienceMs = 10_000

interface Needs {
  db: AppViewDb
  caller: HoldPreparation
  holds: Pick<Holds, 'pushHold' | 'findPrivateHold'>
  repositories: Pick<Repositories, 'resolve'>
  log: Logger
}

/**
 * Behind a registry token: what its holder will do next is mostly plain, so the service token that the first call at the
 * hold needs is fetched while the client is still on its way. Delays and fails nothing.
 */
export class HoldPreparations {
  readonly #needs: Needs
  readonly #running = new Map<Did, Promise<void>>()
  #isStopped = false

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Somebody was given a token for this. */
  begin(did: Did, access: readonly Access[]): void {
    if (this.#isStopped || this.#running.has(did) || this.#running.size >= runningCountMax) return
    const preparing = this.#prepare(did, access)
      .catch((err: unknown) => this.#needs.log.debug({ err, did }, 'nothing was prepared at a hold'))
      .finally(() => this.#running.delete(did))
    this.#running.set(did, preparing)
  }

  /** Resolves once nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    await waitAtMost(stopPatienceMs, this.idle())
  }

  async #prepare(did: Did, access: readonly Access[]): Promise<void> {
    const { caller, holds } = this.#needs
    if (access.some(({ actions }) => actions.includes('push'))) {
      await caller.prepare({ holdDid: await holds.pushHold(did), accountDid: did }, 'start upload')
    }
    const read = access.filter(({ actions }) => !actions.includes('push')).slice(0, repositoryCountMax)
    for (const { name } of read) await this.#prepareReading(did, name)
  }

  async #prepareReading(did: Did, name: string): Promise<void> {
    const { db, caller, holds, repositories } = this.#needs
    const repository = await repositories.resolve(parseRepositoryPath(name))
    const all = await listHoldsOfRepository(db, repository)
    for (const holdDid of all.slice(0, holdCountMax)) {
      const privateDid = await holds.findPrivateHold(holdDid, did)
      if (privateDid !== undefined)
        await caller.prepare({ holdDid: privateDid, accountDid: did }, 'read blob')
    }
  }
}
