import { join } from 'node:path'

import { normalizeDid, type Did } from '../../../src/atproto/syntax.ts'
import { holdConfig } from '../../../src/hold/config.ts'
import { startHold, type RunningHold } from '../../../src/hold/start.ts'
import { buildCrewRecord, crewCollection, crewRkey } from '../../../src/protocol/lexicon/crew-record.ts'
import type { TestNetwork } from '../test-network.ts'

/** A hold beside the first one. */
interface DemoHold {
  name: 'reef' | 'vault'
  captain: string
  region: string
  isPublic: boolean
  /** Names of people; without them anyone who asks is let in. */
  crew?: readonly string[]
}

export const demoHolds: readonly DemoHold[] = [
  { name: 'reef', captain: 'mira', region: 'eu-west', isPublic: true },
  { name: 'vault', captain: 'ledger', region: 'eu-central', isPublic: false, crew: ['alice', 'wren'] },
]

/** The holds that run beside the first, by name. Ended with `await using`. */
export class DemoHolds implements AsyncDisposable {
  readonly byName: ReadonlyMap<string, RunningHold>
  readonly #network: TestNetwork
  readonly #stack: AsyncDisposableStack

  /** `ports` are kept with the data: a hold's DID names its port. */
  static async start(
    network: TestNetwork,
    {
      dids,
      folder,
      ports,
    }: { folder: string; ports: Record<string, number>; dids: ReadonlyMap<string, Did> },
  ): Promise<DemoHolds> {
    await using stack = new AsyncDisposableStack()
    const byName = new Map<string, RunningHold>()
    for (const { captain, crew, isPublic, name, region } of demoHolds) {
      const port = ports[name] as number
      const config = holdConfig({
        server: { addr: `127.0.0.1:${port}`, public_url: `http://localhost:${port}`, public: isPublic, test_mode: true }, // prettier-ignore
        storage: { driver: 'filesystem', path: join(folder, name, 'blobs') },
        registration: { owner_did: didOf(dids, captain), allow_all_crew: crew === undefined, region },
        database: {
          path: join(folder, name, 'hold.db'),
          did: `did:web:localhost%3A${port}`,
          plc_directory_url: network.plc.url,
          handle_resolver_url: network.pds.url,
        },
      })
      const hold = stack.use(await startHold(config))
      byName.set(name, hold)
      network.jetstream.follow(name, hold.url)
      stack.defer(() => network.jetstream.unfollow(name))
    }
    return new DemoHolds(network, byName, stack.move())
  }

  private constructor(
    network: TestNetwork,
    byName: ReadonlyMap<string, RunningHold>,
    stack: AsyncDisposableStack,
  ) {
    this.#network = network
    this.byName = byName
    this.#stack = stack
  }

  /** Takes people into the crews they are of, as a captain does in the admin panel. */
  async admitCrews(dids: ReadonlyMap<string, Did>, addedAt: Date): Promise<void> {
    for (const { captain, crew = [], name } of demoHolds) {
      const writes = crew.map((member) => {
        const memberDid = didOf(dids, member)
        const record = buildCrewRecord({ memberDid, role: 'member', permissions: ['blob:read'], addedAt })
        return { action: 'create', collection: crewCollection, rkey: crewRkey(memberDid), record } as const
      })
      if (writes.length > 0) await this.byName.get(name)?.context.recordWrites.apply(didOf(dids, captain), writes, {}) // prettier-ignore
    }
  }

  /** Resolves when the counters are in the holds' records, and the event stream has those. */
  async settled(): Promise<void> {
    const holds = [...this.byName, ['hold', this.#network.hold] as const]
    await Promise.all(holds.map(([, hold]) => hold.context.stats.flush()))
    await Promise.all(
      holds.map(([name, hold]) =>
        this.#network.jetstream.passed(name, hold.context.repo.sequencer.newestSeq),
      ),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

export function didOf(dids: ReadonlyMap<string, Did>, name: string): Did {
  const did = dids.get(name)
  if (did === undefined) throw new Error(`nobody in the demo is called ${name}`)
  return normalizeDid(did)
}
