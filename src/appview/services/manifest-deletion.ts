import type { RecordWrite } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { randomId } from '../../lib/ids.ts'
import { buildManifestRecord } from '../../protocol/lexicon/build-manifest-record.ts'
import { manifestCollection } from '../../protocol/lexicon/manifest-record.ts'
import { tagCollection, tagRkey } from '../../protocol/lexicon/tag-record.ts'
import { parseManifest } from '../../protocol/oci/manifest.ts'
import type { Reference } from '../../protocol/oci/reference.ts'
import { insertHoldNotification } from '../db/hold-notifications.ts'
import { listRepositoriesOfManifest, type Manifest } from '../db/manifests.ts'
import { findRev } from '../db/record-revs.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { listTagsOfManifest } from '../db/tags.ts'
import { AppViewError } from '../errors.ts'
import type { ManifestNotice } from '../ports/hold-notifier.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'
import { applyManifest, removeManifest } from '../read-model/manifest.ts'
import { removeTag } from '../read-model/tag.ts'
import type { ManifestLookup } from './manifest-lookup.ts'
import { blobJson, isWorthAnother, mayBeConflict, recordOf } from './manifest-writer.ts'

/** A PDS takes at most this many writes in one commit. */
const writeCountMax = 200

export interface DeletionNeeds {
  db: AppViewDb
  pds: PdsManifests
  lookup: ManifestLookup
  now: Now
  /** Told when a notice to a hold waits to be sent. */
  onNotification: () => void
}

/** One record's change in the PDS, how to see there whether it is still needed, and what it means for the index. */
interface Deletion {
  write: RecordWrite
  isThere: () => Promise<boolean>
  apply: (tx: AppViewDb, rev: string) => Promise<unknown>
}

/** Deletes a tag, or a manifest with the tags that name it in this repository. False when it was not there. */
export async function deleteReference(
  needs: DeletionNeeds,
  repository: RepositoryKey,
  reference: Reference,
): Promise<boolean> {
  const digest = await needs.lookup.findDigest(repository, reference)
  if (digest === undefined) return false
  if (reference.kind === 'tag') {
    await commitAll(needs, repository.ownerDid, [tagDeletion(needs, repository, reference.tag)])
    return true
  }
  const row = await needs.lookup.find(repository, digest)
  if (row === undefined) return false
  const tags = await listTagsOfManifest(needs.db, repository, digest)
  const deletions = [
    await manifestDeletion(needs, repository, row),
    ...tags.map((tag) => tagDeletion(needs, repository, tag)),
  ]
  // One commit, unless more tags name the manifest than a commit can take.
  for (let start = 0; start < deletions.length; start += writeCountMax) {
    await commitAll(needs, repository.ownerDid, deletions.slice(start, start + writeCountMax))
  }
  needs.onNotification()
  return true
}

/**
 * Deletes manifests from all repositories of their owner that hold them, in one commit, if nothing was written to the
 * owner's data repo since `swapCommit`. @throws {AppViewError} `pds_conflict` when something was, and PDS failures
 */
export async function deleteManifests(
  needs: DeletionNeeds,
  ownerDid: Did,
  manifests: readonly Manifest[],
  { swapCommit }: { swapCommit: string },
): Promise<void> {
  const { db, now, onNotification, pds } = needs
  const writes = manifests.map(({ recordRkey: rkey }): RecordWrite => ({
    action: 'delete',
    collection: manifestCollection,
    rkey,
  }))
  const { rev } = await pds.commit(ownerDid, writes, { swapCommit })
  await db.transaction().execute(async (tx) => {
    for (const manifest of manifests) {
      const [name] = await listRepositoriesOfManifest(tx, ownerDid, manifest.digest)
      await removeManifest(tx, { did: ownerDid, rkey: manifest.recordRkey, rev })
      if (name !== undefined) await insertDeleteNotice(tx, { ownerDid, name }, manifest, now().toISOString())
    }
  })
  onNotification()
}

function tagDeletion({ pds }: DeletionNeeds, { ownerDid, name }: RepositoryKey, tag: string): Deletion {
  const rkey = tagRkey(name, tag)
  return {
    write: { action: 'delete', collection: tagCollection, rkey },
    isThere: async () => (await pds.findTag(ownerDid, name, tag)) !== undefined,
    apply: (tx, rev) => removeTag(tx, { did: ownerDid, rkey, rev }),
  }
}

/** Other repositories of the owner that hold the same manifest keep it: then only this one leaves the record. */
async function manifestDeletion(
  needs: DeletionNeeds,
  repository: RepositoryKey,
  row: Manifest,
): Promise<Deletion> {
  const { ownerDid, name } = repository
  const { digest, recordRkey: rkey, sizeBytes } = row
  const holders = await listRepositoriesOfManifest(needs.db, ownerDid, digest)
  const [first, ...more] = holders.filter((holder) => holder !== name)
  const isThere = async () => (await needs.pds.findManifest(ownerDid, digest)) !== undefined
  if (first === undefined) {
    return {
      write: { action: 'delete', collection: manifestCollection, rkey },
      isThere,
      apply: async (tx, rev) => {
        await removeManifest(tx, { did: ownerDid, rkey, rev })
        await insertDeleteNotice(tx, repository, row, needs.now().toISOString())
      },
    }
  }
  const { value, record } = await recordWithout(needs, row, [first, ...more])
  return {
    write: { action: 'update', collection: manifestCollection, rkey, value },
    isThere,
    apply: (tx, rev) => applyManifest(tx, { did: ownerDid, rkey, rev, record, sizeBytes }),
  }
}

/** The hold learns at once that its layers are free; it looks at the PDS before it believes so. */
async function insertDeleteNotice(
  tx: AppViewDb,
  { ownerDid, name }: RepositoryKey,
  { digest, holdDid }: Manifest,
  now: string,
): Promise<void> {
  if (holdDid === undefined) return
  const payload: ManifestNotice = {
    operation: 'delete',
    repository: name,
    userDid: ownerDid,
    manifestDigest: digest,
    manifest: {},
  }
  const times = { attempts: 0, nextAt: now, createdAt: now }
  await insertHoldNotification(tx, { id: randomId(), holdDid, accountDid: ownerDid, payload, ...times })
}

async function recordWithout(
  needs: DeletionNeeds,
  row: Manifest,
  repositories: readonly [string, ...string[]],
) {
  const { digest, mediaType, sizeBytes, holdDid, blobCid } = row
  const bytes = await needs.lookup.findBytes(row)
  if (bytes === undefined || holdDid === undefined || blobCid === undefined) {
    throw new AppViewError(
      'pds_unreachable',
      'the manifest could not be read, so its record cannot be rewritten',
    )
  }
  const manifest = parseManifest(bytes, mediaType)
  const createdAt = new Date(row.createdAt)
  const blob = blobJson({ cid: blobCid, mimeType: mediaType, sizeBytes })
  return {
    value: buildManifestRecord({ manifest, digest, repositories, holdDid, manifestBlob: blob, createdAt }),
    record: recordOf({ manifest, digest, holdDid }, { blob, repositories, createdAt }),
  }
}

/** Commits what is still there. A PDS refuses the whole commit when one record to delete is gone already. */
async function commitAll(needs: DeletionNeeds, ownerDid: Did, deletions: readonly Deletion[]): Promise<void> {
  const { db, pds } = needs
  let present = deletions
  let rev: string | undefined
  try {
    rev = (await pds.commit(ownerDid, writesOf(present))).rev
  } catch (error) {
    if (!mayBeConflict(error)) throw error
    const isThere = await Promise.all(deletions.map((deletion) => deletion.isThere()))
    present = deletions.filter((_, index) => isThere[index])
    if (present.length === deletions.length && !isWorthAnother(error)) throw error
    if (present.length > 0) rev = (await pds.commit(ownerDid, writesOf(present))).rev
  }
  await db.transaction().execute(async (tx) => {
    for (const { write, apply } of deletions) {
      await apply(tx, rev ?? (await revAfterLast(tx, ownerDid, write)))
    }
  })
}

const writesOf = (deletions: readonly Deletion[]) => deletions.map(({ write }) => write)

/**
 * For a record that went without our seeing the commit: just after the last one seen, before any that may follow,
 * since revisions are of one length.
 */
async function revAfterLast(tx: AppViewDb, did: Did, { collection, rkey }: RecordWrite): Promise<string> {
  const last = await findRev(tx, did, collection, rkey)
  return last === undefined || last.rev === '' ? '0' : `${last.rev}~`
}
