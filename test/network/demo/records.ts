import { readFile } from 'node:fs/promises'

import { nextTid, type Did } from '../../../src/atproto/syntax.ts'
import type { Account } from '../accounts.ts'
import { avatarOf } from './avatar.ts'
import { catalogue, type DemoRepository } from './catalogue.ts'
import { diceOf } from './dice.ts'
import { didOf } from './holds.ts'
import type { Person } from './people.ts'

const dayMs = 24 * 60 * 60 * 1000
type Write = { collection: string; rkey: string; value: { [field: string]: unknown } }

/** Somebody's PDS, as any ATProto program uses it. */
export class DemoPds {
  readonly #pdsUrl: string
  readonly #account: Account
  readonly #token: string

  static async signIn(pdsUrl: string, account: Account): Promise<DemoPds> {
    const input = { identifier: account.did, password: account.password }
    const { accessJwt } = (await send(`${pdsUrl}/xrpc/com.atproto.server.createSession`, JSON.stringify(input), {
      'content-type': 'application/json',
    })) as { accessJwt: string } // prettier-ignore
    return new DemoPds(pdsUrl, account, accessJwt)
  }

  private constructor(pdsUrl: string, account: Account, token: string) {
    this.#pdsUrl = pdsUrl
    this.#account = account
    this.#token = token
  }

  /** In one commit. */
  async create(writes: readonly Write[]): Promise<void> {
    await this.#call('com.atproto.repo.applyWrites', 'application/json', {
      repo: this.#account.did,
      writes: writes.map((write) => ({ $type: 'com.atproto.repo.applyWrites#create', ...write })),
    })
  }

  async uploadPng(bytes: Uint8Array<ArrayBuffer>): Promise<unknown> {
    const answer = await this.#call('com.atproto.repo.uploadBlob', 'image/png', bytes)
    return (answer as { blob: unknown }).blob
  }

  #call(method: string, type: string, body: Uint8Array<ArrayBuffer> | object): Promise<unknown> {
    const sent = body instanceof Uint8Array ? body : JSON.stringify(body)
    const headers = { 'content-type': type, authorization: `Bearer ${this.#token}` }
    return send(`${this.#pdsUrl}/xrpc/${method}`, sent, headers)
  }
}

async function send(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
): Promise<unknown> {
  const response = await fetch(url, { method: 'POST', body, headers })
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`)
  return response.json()
}

/** Who they are, on Bluesky and in the registry. */
export async function profileWrites(
  { bio, displayName, hasAvatar, name }: Person,
  pds: DemoPds,
  { holdDid, createdAt }: { holdDid: Did; createdAt: Date },
): Promise<Write[]> {
  const avatar = hasAvatar ? await pds.uploadPng(new Uint8Array(avatarOf(name))) : undefined
  const times = { createdAt: createdAt.toISOString() }
  return [
    {
      collection: 'app.bsky.actor.profile',
      rkey: 'self',
      value: {
        $type: 'app.bsky.actor.profile',
        displayName,
        description: bio,
        ...(avatar !== undefined && { avatar }),
        ...times,
      },
    },
    {
      collection: 'io.atcr.sailor.profile',
      rkey: 'self',
      value: { $type: 'io.atcr.sailor.profile', defaultHold: holdDid, ...times, updatedAt: times.createdAt },
    },
  ]
}

/** What they write about their repositories. */
export async function pageWrites(
  { name }: Person,
  pds: DemoPds,
  { now, registryHost }: { now: Date; registryHost: string },
): Promise<Write[]> {
  const own = catalogue.filter((it) => it.owner === name && it.page !== undefined)
  return Promise.all(
    own.map(async (repository) => {
      const full = `${name}.test/${repository.name}`
      const avatar = repository.hasAvatar === true ? await pds.uploadPng(new Uint8Array(avatarOf(full))) : undefined // prettier-ignore
      const description = (await textOf(repository, full)).replaceAll('registry.example', registryHost)
      return {
        collection: 'io.atcr.repo.page',
        rkey: rkeyOf(repository.name),
        value: {
          $type: 'io.atcr.repo.page',
          repository: repository.name,
          description,
          ...(avatar !== undefined && { avatar }),
          createdAt: new Date(now.getTime() - repository.days[0] * dayMs).toISOString(),
          updatedAt: new Date(now.getTime() - repository.days[1] * dayMs).toISOString(),
        },
      }
    }),
  )
}

/** What they starred: the more a repository is pulled, the likelier; nobody his own, and nothing that is private. */
export function starWrites(
  person: Person,
  { dids, hidden, now }: { dids: ReadonlyMap<string, Did>; hidden: ReadonlySet<string>; now: Date },
): Write[] {
  const dice = diceOf(`stars of ${person.name}`)
  const eagerness = person.hasAvatar ? 0.55 : 1.6
  return catalogue
    .filter(({ owner }) => owner !== person.name && !hidden.has(owner))
    .map((repository) => ({
      repository,
      isStarred: dice.next() < eagerness * (0.12 + repository.pulls / 110),
      share: dice.next(),
    })) // prettier-ignore
    .filter(({ isStarred }) => isStarred)
    .map(({ repository, share }) => ({
      collection: 'io.atcr.sailor.star',
      rkey: nextTid(),
      value: {
        $type: 'io.atcr.sailor.star',
        subject: `at://${didOf(dids, repository.owner)}/io.atcr.repo.page/${rkeyOf(repository.name)}`,
        createdAt: new Date(now.getTime() - share * repository.days[0] * dayMs).toISOString(),
      },
    }))
}

const rkeyOf = (repository: string) => repository.replaceAll('/', '~')

async function textOf({ about, name, owner, page, recipe }: DemoRepository, full: string): Promise<string> {
  if (page === 'file') {
    return readFile(new URL(`readmes/${owner}-${name.replaceAll('/', '-')}.txt`, import.meta.url), 'utf8')
  }
  const isChart = recipe === 'chart'
  const command = isChart ? `helm install ${name.split('/').at(-1)} oci://registry.example/${full}` : `docker pull registry.example/${full}` // prettier-ignore
  return `${about}\n\n\`\`\`sh\n${command}\n\`\`\`\n`
}
