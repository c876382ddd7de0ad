import { join } from 'node:path'

import type { Kysely } from 'kysely'

import { normalizeDid, type Did } from '../../../src/atproto/syntax.ts'
import { createAccount, type Account } from '../accounts.ts'
import { findJson, writeFileAtomic } from '../files.ts'
import { findFreePort } from '../listening.ts'
import { OciClient } from '../oci-client.ts'
import type { TestNetwork } from '../test-network.ts'
import type { SimulatedClock } from './clock.ts'
import { diceOf, type Dice } from './dice.ts'
import { demoHolds, DemoHolds, didOf } from './holds.ts'
import { people } from './people.ts'
import { pushDemo, type Pusher } from './push.ts'
import { DemoPds, pageWrites, profileWrites, starWrites } from './records.ts'
import { withoutSync } from './unsynced.ts'
import { demoPushes, type DemoPush } from './timeline.ts'

const fileName = 'demo.json'
/** Pushes of different people that go up at once. Later than this before now, one by one: lists show their times. */
const batchSize = 5
const aloneMs = 3 * 24 * 60 * 60 * 1000
const yearStartMs = 130 * 24 * 60 * 60 * 1000

/** What is kept of a demo between starts, in the data folder. */
interface KeptDemo {
  ports: Record<string, number>
  accounts: Record<string, Account>
  isComplete: boolean
}

/** Tells what was done. */
type Progress = (step: string, detail: string) => unknown

/** A network with the demo in it: who is there, and the holds beside the first. */
export interface Demo extends AsyncDisposable {
  accounts: ReadonlyMap<string, Account>
  holds: DemoHolds
}

/** Whether a data folder has a demo in it, whole or half. */
export async function hasDemo(folder: string): Promise<boolean> {
  return (await findJson<KeptDemo>(join(folder, fileName))) !== undefined
}

/**
 * Makes the demo in a network, unless its folder has it: people, two more holds, pushes over four months, stars. The
 * network's AppView must go by `clock`, which is the machine's again when this is done. What is there half, after a stop
 * in between, is refused: it cannot be told which half.
 */
export async function openDemo(
  network: TestNetwork,
  { clock, folder, progress }: { clock: SimulatedClock; folder: string; progress: Progress },
): Promise<Demo> {
  const file = join(folder, fileName)
  const kept = (await findJson<KeptDemo>(file)) ?? { ports: {}, accounts: {}, isComplete: false }
  const keep = () => writeFileAtomic(file, `${JSON.stringify(kept, null, 2)}\n`, 0o600)
  if (!kept.isComplete) {
    if (Object.keys(kept.ports).length > 0) throw new Error(`the demo in ${folder} was stopped while it was made: begin anew with --fresh`) // prettier-ignore
    for (const { name } of demoHolds) kept.ports[name] = await findFreePort()
    await keep()
    kept.accounts = await openPeople(network)
    await keep()
    progress('people', `${people.length}, with accounts at the PDS`)
  }
  const accounts = new Map(Object.entries(kept.accounts))
  const dids = new Map([...accounts].map(([name, { did }]) => [name, normalizeDid(did)]))
  await using stack = new AsyncDisposableStack()
  const holds = stack.use(await DemoHolds.start(network, { folder: join(folder, 'demo-holds'), ports: kept.ports, dids })) // prettier-ignore
  progress('more holds', demoHolds.map((it) => `${it.name} ${it.isPublic ? '(public)' : '(private)'}`).join(', ')) // prettier-ignore
  if (!kept.isComplete) {
    const seeding = { network, clock, progress, accounts, dids, holds }
    await withoutSync(databasesOf(seeding), () => seed(seeding))
    kept.isComplete = true
    await keep()
  }
  const owned = stack.move()
  return { accounts, holds, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

interface Seeding {
  network: TestNetwork
  clock: SimulatedClock
  progress: Progress
  accounts: ReadonlyMap<string, Account>
  dids: ReadonlyMap<string, Did>
  holds: DemoHolds
}

function databasesOf({ holds, network }: Pick<Seeding, 'holds' | 'network'>): Kysely<never>[] {
  const { db } = network.appview.context
  return [db, ...[network.hold, ...holds.byName.values()].map((hold) => hold.context.database)].map((it) =>
    it.withTables<never>(),
  )
}

async function seed(seeding: Seeding): Promise<void> {
  const { clock, dids, holds, network, progress } = seeding
  const now = clock.now()
  try {
    clock.goBack(yearStartMs)
    await holds.admitCrews(dids, clock.now())
    const pdses = new Map<string, DemoPds>()
    await Promise.all(
      people.map(async (person) => {
        const pds = await DemoPds.signIn(network.pds.url, accountOf(seeding, person.name))
        pdses.set(person.name, pds)
        const holdDid = person.hold === undefined ? network.hold.did : didOf(new Map([...holds.byName].map(([name, hold]) => [name, hold.did])), person.hold) // prettier-ignore
        await pds.create(await profileWrites(person, pds, { holdDid, createdAt: clock.now() }))
      }),
    )
    await network.settled()
    progress('profiles', `${people.filter((it) => it.hasAvatar).length} with a picture`)
    await pushAll(seeding)
    const hidden = new Set(people.filter((it) => it.hold === 'vault').map((it) => it.name))
    const { host: registryHost } = new URL(network.appview.url)
    const counts = await Promise.all(
      people.map(async (person) => {
        const pds = pdses.get(person.name) as DemoPds
        const pages = await pageWrites(person, pds, { now, registryHost })
        const stars = starWrites(person, { dids, hidden, now })
        if (pages.length + stars.length > 0) await pds.create([...pages, ...stars])
        return { pages: pages.length, stars: stars.length }
      }),
    )
    const sum = (what: 'pages' | 'stars') => counts.reduce((total, it) => total + it[what], 0)
    progress('pages and stars', `${sum('pages')} pages, ${sum('stars')} stars`)
  } finally {
    clock.goBack(0)
  }
  await network.appview.context.pullNotices.flush()
  await network.settled()
  await holds.settled()
  await network.settled()
  progress('index', 'has it all')
}

/** The demo's people: alice and bob have accounts already. */
async function openPeople(network: TestNetwork): Promise<Record<string, Account>> {
  const entries = await Promise.all(
    people.map(async ({ name }) => {
      const { alice, bob } = network.accounts
      const known = name === 'alice' ? alice : name === 'bob' ? bob : undefined
      return [name, known ?? (await createAccount(network.pds.url, `${name}.test`))] as const
    }),
  )
  return Object.fromEntries(entries)
}

/** Goes through the months: sets the clock, pushes what was pushed then, and pulls now and then. */
async function pushAll(seeding: Seeding): Promise<void> {
  const { clock, network, progress } = seeding
  const pushers = new Map<string, Promise<Pusher>>()
  const pusherOf = (name: string) => {
    const known = pushers.get(name) ?? signIn(seeding, name)
    pushers.set(name, known)
    return known
  }
  const readers = new Readers(network)
  let count = 0
  for (const batch of batches(demoPushes())) {
    clock.goBack(batch[0]?.agoMs ?? 0)
    const builtAt = roundedDown(clock.now())
    await Promise.all(
      batch.map(async (push) => {
        const pusher = await pusherOf(push.repository.owner)
        const { pulled } = await pushDemo(pusher, push, builtAt)
        if (push.repository.owner !== 'ledger') readers.add(`${pusher.handle}/${push.repository.name}`, pulled, push.repository.pulls) // prettier-ignore
      }),
    )
    count += batch.length
    await readers.pull()
  }
  progress(
    'pushes',
    `${count} versions of ${new Set(demoPushes().map((it) => it.repository)).size} repositories`,
  )
  progress('pulls', String(readers.count))
}

/** Whole seconds, as build tools write them. */
const roundedDown = (date: Date) => new Date(Math.floor(date.getTime() / 1000) * 1000)

/** Neighbours in time of different owners. */
function batches(pushes: readonly DemoPush[]): DemoPush[][] {
  const found: DemoPush[][] = []
  for (const push of pushes) {
    const last = found.at(-1)
    const fits =
      last !== undefined &&
      last.length < batchSize &&
      push.agoMs > aloneMs &&
      last.every((it) => it.repository.owner !== push.repository.owner)
    if (fits) last.push(push)
    else found.push([push])
  }
  return found
}

/** Signs in once with the app password, then pairs a machine, as the credential helper does. */
async function signIn(seeding: Seeding, name: string): Promise<Pusher> {
  const { network } = seeding
  const { appPassword, did, handle } = accountOf(seeding, name)
  const registryUrl = network.appview.url
  await new OciClient({ registryUrl, username: handle, password: appPassword }).authorize(`${handle}/first`, 'pull,push') // prettier-ignore
  const { secret } = await network.appview.context.devices.create(normalizeDid(did), { name: `${name}’s laptop`, address: '127.0.0.1', handle }) // prettier-ignore
  const client = new OciClient({ registryUrl, username: handle, password: secret })
  return { handle, client, pushed: new Map() }
}

const pullsPerBatch = 7

/** People who pull without an account: what is pulled more, more often. */
class Readers {
  count = 0
  readonly #client: OciClient
  readonly #dice: Dice = diceOf('pulls')
  readonly #wanted = new Map<string, { digest: string; weight: number }>()

  constructor(network: TestNetwork) {
    this.#client = new OciClient({ registryUrl: network.appview.url })
  }

  add(repository: string, digest: string, weight: number): void {
    this.#wanted.set(repository, { digest, weight })
  }

  async pull(): Promise<void> {
    const total = [...this.#wanted.values()].reduce((sum, it) => sum + it.weight, 0)
    if (total === 0) return
    const places = Array.from({ length: pullsPerBatch }, () => this.#dice.next() * total)
    await Promise.all(places.map((place) => this.#pullAt(place)))
    this.count += pullsPerBatch
  }

  async #pullAt(place: number): Promise<void> {
    let rest = place
    for (const [repository, { digest, weight }] of this.#wanted) {
      rest -= weight
      if (rest < 0) return void (await this.#client.pullManifest(repository, digest))
    }
  }
}

function accountOf({ accounts }: Pick<Seeding, 'accounts'>, name: string): Account {
  const account = accounts.get(name)
  if (account === undefined) throw new Error(`nobody in the demo is called ${name}`)
  return account
}
