import { normalizeDid, type Did } from '../../atproto/syntax.ts'
import { captainCollection, captainRkey, parseCaptainRecord } from '../../protocol/lexicon/captain-record.ts'
import { crewCollection, parseCrewRecord } from '../../protocol/lexicon/crew-record.ts'
import {
  manifestCollection,
  manifestRkey,
  parseManifestRecord,
} from '../../protocol/lexicon/manifest-record.ts'
import { RecordError } from '../../protocol/lexicon/record.ts'
import {
  parseRepoPageRecord,
  repoPageCollection,
  repoPageRkey,
} from '../../protocol/lexicon/repo-page-record.ts'
import {
  parseSailorProfileRecord,
  sailorProfileCollection,
  sailorProfileRkey,
} from '../../protocol/lexicon/sailor-profile-record.ts'
import { parseScanRecord, scanCollection } from '../../protocol/lexicon/scan-record.ts'
import { parseStarRecord, starCollection } from '../../protocol/lexicon/star-record.ts'
import { parseStatsRecord, statsCollection } from '../../protocol/lexicon/stats-record.ts'
import { parseTagRecord, tagCollection, tagRkey } from '../../protocol/lexicon/tag-record.ts'
import type { AppViewDb } from '../db/schema.ts'
import type { RecordPut, RecordVersion } from './change.ts'
import { applyCaptain, applyCrew, removeCaptain, removeCrew } from './hold.ts'
import { applyScan, applyStats, removeScan, removeStats } from './hold-word.ts'
import { applyManifest, removeManifest } from './manifest.ts'
import { applyProfile, removeProfile } from './profile.ts'
import { applyRepoPage, removeRepoPage } from './repo-page.ts'
import { applyStar, removeStar } from './star.ts'
import { applyTag, removeTag } from './tag.ts'

/** A change of a record, understood and ready for a transaction. */
export interface PreparedRecord {
  /** False when the change, or a newer one, was in the rows already. */
  apply: (tx: AppViewDb) => Promise<boolean>
  /** A hold that the record names. */
  holdDid?: Did
}

/** What one collection means for the rows. `put` throws a `RecordError` when the record is not what it should be. */
export interface RecordHandler {
  put(event: RecordVersion & { record: unknown }): PreparedRecord
  remove(event: RecordVersion): PreparedRecord
}

/** One collection: how to read a record, the key it must lie under, and what it does to the rows. */
interface Collection<Record> {
  parse: (value: unknown) => Record
  /** The only key the record may have; without it any will do. */
  rkey?: (record: Record) => string
  apply: (tx: AppViewDb, change: RecordPut<Record>) => Promise<boolean>
  remove: (tx: AppViewDb, change: RecordVersion) => Promise<boolean>
  holdDid?: (record: Record) => Did | undefined
}

const handlers: { readonly [nsid: string]: RecordHandler } = {
  [manifestCollection]: handler({
    parse: parseManifestRecord,
    rkey: (record) => manifestRkey(record.digest),
    apply: applyManifest,
    remove: removeManifest,
    holdDid: (record) => record.holdDid && normalizeDid(record.holdDid),
  }),
  [tagCollection]: handler({
    parse: parseTagRecord,
    rkey: (record) => tagRkey(record.repository, record.tag),
    apply: applyTag,
    remove: removeTag,
  }),
  [sailorProfileCollection]: handler({
    parse: parseSailorProfileRecord,
    rkey: () => sailorProfileRkey,
    apply: applyProfile,
    remove: removeProfile,
  }),
  [starCollection]: handler({ parse: parseStarRecord, apply: applyStar, remove: removeStar }),
  [repoPageCollection]: handler({
    parse: parseRepoPageRecord,
    rkey: (record) => repoPageRkey(record.repository),
    apply: applyRepoPage,
    remove: removeRepoPage,
  }),
  // A hold speaks for itself: the row is that of the data repo's own DID, whatever the record says.
  [captainCollection]: handler({
    parse: parseCaptainRecord,
    rkey: () => captainRkey,
    apply: applyCaptain,
    remove: removeCaptain,
  }),
  [crewCollection]: handler({ parse: parseCrewRecord, apply: applyCrew, remove: removeCrew }),
  [statsCollection]: handler({ parse: parseStatsRecord, apply: applyStats, remove: removeStats }),
  [scanCollection]: handler({
    parse: parseScanRecord,
    rkey: (record) => manifestRkey(record.digest),
    apply: applyScan,
    remove: removeScan,
  }),
}

/** The collections to ask an event source for. */
export const indexedCollections: readonly string[] = Object.keys(handlers)

/** What to do with records of a collection; undefined when they are nothing to us. */
export function handlerFor(nsid: string): RecordHandler | undefined {
  return Object.hasOwn(handlers, nsid) ? handlers[nsid] : undefined
}

function handler<Record>(collection: Collection<Record>): RecordHandler {
  return {
    put({ record: value, ...version }) {
      const record = collection.parse(value)
      if (collection.rkey !== undefined && collection.rkey(record) !== version.rkey) {
        throw new RecordError('record lies under a key that is not its own')
      }
      // PostgreSQL keeps no NUL in text; nothing that a record says needs one.
      if (hasNul(record)) throw new RecordError('record has a NUL character')
      const holdDid = collection.holdDid?.(record)
      return {
        apply: (tx) => collection.apply(tx, { ...versionOf(version), record }),
        ...(holdDid !== undefined && { holdDid }),
      }
    },
    remove(version) {
      return { apply: (tx) => collection.remove(tx, versionOf(version)) }
    },
  }
}

/** Without whatever else an event has. */
function versionOf({ did, rkey, rev, isFromReading = false }: RecordVersion): RecordVersion {
  return { did, rkey, rev, isFromReading }
}

function hasNul(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('\0')
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, item]) => key.includes('\0') || hasNul(item))
}
