import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { appViewConfig } from '../../src/appview/config.ts'
import { startAppView, type RunningAppView } from '../../src/appview/start.ts'
import type { AppViewDb } from '../../src/appview/db/schema.ts'
import type { AccountName } from '../network/accounts.ts'
import type { AppViewSettings } from '../network/programs.ts'
import { findFreePort } from '../network/listening.ts'
import type { TestNetwork } from '../network/test-network.ts'

/** Where nobody answers. */
export const nowhere = '127.0.0.1:1'

/** Another AppView in a network that has been there for a while; it hears no Jetstream unless told. */
export class Newcomer implements AsyncDisposable {
  readonly #network: TestNetwork
  readonly #folder: string
  #running: RunningAppView | undefined

  static async create(network: TestNetwork): Promise<Newcomer> {
    return new Newcomer(network, await mkdtemp(join(tmpdir(), 'atcr-newcomer-')))
  }

  private constructor(network: TestNetwork, folder: string) {
    this.#network = network
    this.#folder = folder
  }

  get appview(): RunningAppView {
    if (this.#running === undefined) throw new Error('the newcomer is not running')
    return this.#running
  }

  get db() {
    return this.appview.context.db
  }

  async start(jetstream: AppViewSettings['jetstream']): Promise<void> {
    const port = await findFreePort()
    const config = appViewConfig({
      log_level: 'silent',
      server: {
        addr: `127.0.0.1:${port}`,
        base_url: `http://127.0.0.1:${port}`,
        default_hold_did: this.#network.hold.did,
        data_folder: this.#folder,
        test_mode: true,
      },
      identity: { plc_directory_url: this.#network.plc.url, handle_resolver_url: this.#network.pds.url },
      jetstream: { urls: [`ws://${nowhere}`], relay_endpoints: [], ...jetstream },
    })
    this.#running = await startAppView(config)
  }

  async stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    await running?.[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Calls a method at the PDS as a person; null for an answer without a body. */
export async function asPerson(network: TestNetwork, name: AccountName) {
  const { did, handle, password } = network.accounts[name]
  const call = async (method: string, input: object | undefined, token?: string): Promise<unknown> => {
    const type = input && { 'content-type': 'application/json' }
    const headers = { ...type, ...(token && { authorization: `Bearer ${token}` }) }
    const init = { method: 'POST', headers, body: input === undefined ? null : JSON.stringify(input) }
    const response = await fetch(`${network.pds.url}/xrpc/${method}`, init)
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} answered ${response.status}: ${text}`)
    return text === '' ? null : JSON.parse(text)
  }
  const session = await call('com.atproto.server.createSession', { identifier: handle, password })
  const { accessJwt } = session as { accessJwt: string }
  return {
    did,
    call: (method: string, input?: object) => call(method, input, accessJwt),
    put: (collection: string, rkey: string, record: object) =>
      call(
        'com.atproto.repo.putRecord',
        { repo: did, collection, rkey, record: { $type: collection, ...record } },
        accessJwt,
      ),
    remove: (collection: string, rkey: string) =>
      call('com.atproto.repo.deleteRecord', { repo: did, collection, rkey }, accessJwt),
  }
}

/** What the pages are made of, without what depends on how it was learned. */
export async function indexOf(db: AppViewDb): Promise<Record<string, unknown[]>> {
  const rows: Record<string, unknown[]> = {
    holds: await db
      .selectFrom('holds')
      .select(['did', 'owner_did', 'is_public', 'allow_all_crew', 'successor_did'])
      .where('owner_did', 'is not', null)
      .execute(),
    identities: await db
      .selectFrom('identities')
      .select(['did', 'handle', 'is_active'])
      .where('handle', 'is not', null)
      .execute(),
  }
  for (const table of tables) rows[table] = await db.selectFrom(table).selectAll().execute()
  for (const [table, all] of Object.entries(rows)) {
    rows[table] = all.map((row) => JSON.stringify(row)).toSorted()
  }
  return rows
}

const tables = [
  'repositories',
  'manifests',
  'manifest_repositories',
  'manifest_links',
  'tags',
  'sailor_profiles',
  'stars',
  'repo_pages',
  'hold_crew',
  'hold_stats',
] as const
