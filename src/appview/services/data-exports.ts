import type { Identities } from '../../atproto/identity.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { listHoldsOf, listPersonalRows } from '../db/personal-data.ts'
import type { AppViewDb } from '../db/schema.ts'
import { AppViewError } from '../errors.ts'
import type { HoldUserData } from '../ports/hold-user-data.ts'
import { ownCollections } from './oauth-scope.ts'

/** Asked at once: each may answer with megabytes. */
const holdsAtOnce = 4
export const holdCountMax = 50

interface Needs {
  db: AppViewDb
  holds: HoldUserData
  identities: Pick<Identities, 'resolveDid'>
  /** The hold of those who chose none. */
  defaultHoldDid: Did
  host: string
  now: Now
}

/** Everything that is kept of an account, here and in the holds, as one JSON text that is written while it is read. */
export class DataExports {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async *write(did: Did): AsyncGenerator<string, void, undefined> {
    const { host, now } = this.#needs
    const identity = await this.#needs.identities.resolveDid(did).catch(() => undefined)
    const head = {
      did,
      handle: identity?.handle ?? null,
      exportedAt: now().toISOString(),
      registry: host,
      records: {
        note: 'Images, tags, stars and pages are records in your own data repo. Below is only what was made of them here.',
        pds: identity?.pdsUrl ?? null,
        collections: ownCollections.map((collection) => `at://${did}/${collection}`),
        all: identity?.pdsUrl === undefined ? null : repoUrl(identity.pdsUrl, did),
      },
    }
    yield `${JSON.stringify(head, null, 1).slice(0, -2)},\n "appview": {`
    yield* this.#writeTables(did)
    yield '},\n "holds": {'
    yield* this.#writeHolds(did)
    yield '}\n}\n'
  }

  async *#writeTables(did: Did): AsyncGenerator<string, void, undefined> {
    let current: string | undefined
    for await (const { table, rows } of listPersonalRows(this.#needs.db, did)) {
      if (table !== current) yield `${current === undefined ? '' : '],'}\n${JSON.stringify(table)}: [`
      for (const [index, row] of rows.entries()) {
        const isFirst = table !== current && index === 0
        yield `${isFirst ? '' : ','}\n${JSON.stringify(row)}`
      }
      current = table
    }
    if (current !== undefined) yield ']'
  }

  /** What one hold says, or why it says nothing: one that is down keeps nobody from the rest. */
  async *#writeHolds(did: Did): AsyncGenerator<string, void, undefined> {
    const { db, defaultHoldDid } = this.#needs
    const dids = [...new Set([...(await listHoldsOf(db, did, holdCountMax)), defaultHoldDid])]
    for (let at = 0; at < dids.length; at += holdsAtOnce) {
      const some = dids.slice(at, at + holdsAtOnce)
      const answers = await Promise.all(some.map((holdDid) => this.#ask(holdDid, did)))
      for (const [index, answer] of answers.entries()) {
        yield `${at + index === 0 ? '' : ','}\n${JSON.stringify(some[index])}: ${JSON.stringify(answer)}`
      }
    }
  }

  async #ask(holdDid: Did, accountDid: Did): Promise<unknown> {
    try {
      return { data: await this.#needs.holds.export({ holdDid, accountDid }) }
    } catch (error) {
      if (error instanceof AppViewError) return { error: error.message }
      throw error
    }
  }
}

function repoUrl(pdsUrl: string, did: Did): string {
  const url = new URL('/xrpc/com.atproto.sync.getRepo', pdsUrl)
  url.searchParams.set('did', did)
  return url.href
}
