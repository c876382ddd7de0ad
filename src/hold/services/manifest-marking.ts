import type { Kysely } from 'kysely'

import { formatAtUri, parseAtUri, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { logger } from '../../lib/log.ts'
import {
  manifestCollection,
  manifestRkey,
  parseManifestRecord,
  type ManifestRecord,
} from '../../protocol/lexicon/manifest-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import {
  deleteMissing,
  findGcOwner,
  findMissing,
  insertMissing,
  listKnownManifests,
  listManifestUris,
  putGcOwner,
} from '../db/gc-owners.ts'
import type { GcOwnerRow } from '../db/gc-tables.ts'
import type { StorageTables } from '../db/storage-tables.ts'
import type { OwnedManifest, OwnerAccount, OwnerManifests } from '../ports/owner-manifests.ts'
import { decideMissing, isAccountGone } from './gc-decisions.ts'
import type { Layers } from './layers.ts'
import type { LegacyLayers } from './legacy-layers.ts'
import type { ManifestAdoption } from './manifest-adoption.ts'

const log = logger('hold:gc')

/** Manifests of one owner in memory at once; for more, his records are listed more than once. */
const chunkCountMax = 10_000

/** What came of a look at one owner. */
export interface OwnerLook {
  manifestsChecked: number
  manifestsMissing: number
  manifestsRemoved: number
  isUnreachable: boolean
}

interface Needs {
  database: Kysely<StorageTables>
  owners: OwnerManifests
  layers: Pick<Layers, 'locks' | 'removeManifests'>
  adoption: Pick<ManifestAdoption, 'adopt' | 'isOurs' | 'noteRepositories'>
  legacyLayers: Pick<LegacyLayers, 'retire'>
  graceMs: number
  now: Now
}

/**
 * Which layers are still needed: those whose manifest record exists at its owner's PDS. A record that a PDS lists is
 * there; one that it does not list is asked for by name, and only `RecordNotFound` from an active account counts.
 */
export class ManifestMarking {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Looks at all manifests of an owner; a dry look removes and notes nothing. Failures of his PDS are an answer. */
  async look(ownerDid: Did, options: { isDryRun: boolean }): Promise<OwnerLook> {
    const { database, owners, now } = this.#needs
    const result = { manifestsChecked: 0, manifestsMissing: 0, manifestsRemoved: 0, isUnreachable: false }
    const beganAt = now().toISOString()
    const before = await findGcOwner(database, ownerDid)
    const found = await owners.findAccount(ownerDid)
    const row: GcOwnerRow = {
      did: ownerDid,
      looked_at: beganAt,
      reached_at: before?.reached_at ?? null,
      gone_since: null,
      gone_look_count: 0,
    }
    if (found.state === 'active') {
      try {
        const isWhole = await this.#lookAt(found.account, result, options)
        if (isWhole) row.reached_at = beganAt
        else result.isUnreachable = true
        if (isWhole && !options.isDryRun) await this.#needs.legacyLayers.retire(found.account)
      } catch (err) {
        log.info({ err, did: ownerDid }, 'the manifests of an owner could not be looked at; all are kept')
        result.isUnreachable = true
      }
    } else {
      log.info({ did: ownerDid, reason: found.reason, state: found.state }, 'an owner is not to be found; all of his manifests are kept') // prettier-ignore
      result.isUnreachable = true
      if (found.state === 'gone') await this.#lookAtGone(row, before, result, options)
    }
    if (!options.isDryRun) await putGcOwner(database, row)
    return result
  }

  /** Whether the manifest is gone from its owner's PDS for sure; then its layers are removed at once. */
  async removeIfGone(ownerDid: Did, manifestUri: string): Promise<'removed' | 'there' | 'unsure'> {
    const { database, owners } = this.#needs
    // Nobody makes us ask around for what we never heard of.
    if (!(await listKnownManifests(database, [manifestUri])).has(manifestUri)) return 'unsure'
    const found = await owners.findAccount(ownerDid)
    if (found.state !== 'active') return 'unsure'
    try {
      return (await this.#remove(found.account, manifestUri)) ? 'removed' : 'there'
    } catch (err) {
      log.info({ err, did: ownerDid }, 'a manifest could not be looked for; it is kept')
      return 'unsure'
    }
  }

  async #lookAt(account: OwnerAccount, result: OwnerLook, options: { isDryRun: boolean }): Promise<boolean> {
    const { database } = this.#needs
    let isWhole = true
    let after = ''
    for (let round = 0; ; round++) {
      const uris = await listManifestUris(database, account.did, after, chunkCountMax)
      if (round > 0 && uris.length === 0) return isWhole
      const unseen = new Set(uris.filter((uri) => isManifestOf(account.did, uri)))
      for await (const page of this.#needs.owners.listManifests(account)) {
        for (const { rkey } of page) unseen.delete(formatAtUri(account.did, manifestCollection, rkey))
        // Once is enough: the later rounds list the same.
        if (round === 0 && !options.isDryRun) isWhole = (await this.#adoptUnknown(account, page)) && isWhole
      }
      await this.#concludeAll(account, uris, unseen, result, options)
      result.manifestsChecked += uris.length
      if (uris.length < chunkCountMax) return isWhole
      after = uris.at(-1) as string
    }
  }

  async #concludeAll(
    account: OwnerAccount,
    uris: readonly string[],
    unseen: ReadonlySet<string>,
    result: OwnerLook,
    { isDryRun }: { isDryRun: boolean },
  ): Promise<void> {
    const { database, owners, graceMs, now } = this.#needs
    const missing = await findMissing(database, uris)
    const back = new Set([...missing.keys()].filter((uri) => !unseen.has(uri)))
    for (const uri of unseen) {
      if (await owners.hasManifest(account, rkeyOf(uri))) {
        back.add(uri)
        continue
      }
      result.manifestsMissing += 1
      if (isDryRun) continue
      const at = { now: now().toISOString(), graceMs }
      const verdict = decideMissing(missing.get(uri), at)
      if (verdict === 'note') await this.#note(account, uri, at.now)
      if (verdict === 'remove' && (await this.#remove(account, uri))) result.manifestsRemoved += 1
    }
    if (!isDryRun) await deleteMissing(database, [...back])
  }

  /** An account that ceased to be active since its state was asked for is not one whose records are gone. */
  async #note(account: OwnerAccount, uri: string, at: string): Promise<void> {
    if (!(await this.#isStillActive(account))) throw new Error('the account changed while it was looked at')
    await insertMissing(this.#needs.database, uri, at)
  }

  async #remove(account: OwnerAccount, uri: string): Promise<boolean> {
    const { database, owners, layers } = this.#needs
    return layers.locks.run(uri, async () => {
      // Under the lock: a push of it that comes now finds its layers removed, and adds them anew.
      if (await owners.hasManifest(account, rkeyOf(uri))) return false
      if (!(await this.#isStillActive(account))) throw new Error('the account changed while it was looked at')
      await layers.removeManifests([uri])
      await deleteMissing(database, [uri])
      return true
    })
  }

  async #isStillActive(account: OwnerAccount): Promise<boolean> {
    const now = await this.#needs.owners.findAccount(account.did)
    return now.state === 'active' && now.account.pdsUrl === account.pdsUrl
  }

  /** Layers of manifests that this hold was never told of: false when some of them could not be read. */
  async #adoptUnknown(account: OwnerAccount, page: readonly OwnedManifest[]): Promise<boolean> {
    const { adoption, database } = this.#needs
    const uris = page.map(({ rkey }) => formatAtUri(account.did, manifestCollection, rkey))
    const known = await listKnownManifests(database, uris)
    let isWhole = true
    const told: ManifestRecord[] = []
    for (const [index, { rkey, value }] of page.entries()) {
      const record = tryParse(value)
      if (record === undefined || manifestRkey(record.digest) !== rkey || !adoption.isOurs(record)) continue
      if (known.has(uris[index] as string)) told.push(record)
      else isWhole = (await adoption.adopt(account, record)) && isWhole
    }
    await adoption.noteRepositories(account.did, told)
    return isWhole
  }

  async #lookAtGone(
    row: GcOwnerRow,
    before: GcOwnerRow | undefined,
    result: OwnerLook,
    { isDryRun }: { isDryRun: boolean },
  ): Promise<void> {
    const { database, graceMs, layers } = this.#needs
    row.gone_since = before?.gone_since ?? row.looked_at
    row.gone_look_count = (before?.gone_look_count ?? 0) + 1
    const account = { goneSince: row.gone_since, goneLookCount: row.gone_look_count }
    if (isDryRun || !isAccountGone(account, { now: row.looked_at, graceMs })) return
    log.warn({ did: row.did, since: row.gone_since }, 'an account is gone for long; its layers are removed')
    for (;;) {
      const uris = await listManifestUris(database, row.did, '', 100)
      if (uris.length === 0) break
      await layers.removeManifests(uris)
      await deleteMissing(database, uris)
      result.manifestsRemoved += uris.length
    }
    row.reached_at = row.looked_at
    result.isUnreachable = false
  }
}

function rkeyOf(manifestUri: string): string {
  return manifestUri.slice(manifestUri.lastIndexOf('/') + 1)
}

/** Layer records that were imported may name anything; what is not understood is kept. */
function isManifestOf(did: Did, uri: string): boolean {
  const parsed = parseAtUri(uri)
  return parsed?.did === did && parsed.collection === manifestCollection
}

function tryParse(value: unknown) {
  try {
    return parseManifestRecord(value)
  } catch (error) {
    // Records of strangers may be anything; one that nobody can read names nothing.
    if (error instanceof RecordError) return undefined
    throw error
  }
}
