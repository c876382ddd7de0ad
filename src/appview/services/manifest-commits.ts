import type { CommitResult } from '../../atproto/pds-records.ts'
import type { Did } from '../../atproto/syntax.ts'
import { randomId } from '../../lib/ids.ts'
import { manifestRkey } from '../../protocol/lexicon/manifest-record.ts'
import { tagRkey } from '../../protocol/lexicon/tag-record.ts'
import type { PdsBlobJson } from '../../protocol/lexicon/record.ts'
import type { Descriptor } from '../../protocol/oci/descriptor.ts'
import type { Digest } from '../../protocol/oci/digest.ts'
import { insertHoldNotification } from '../db/hold-notifications.ts'
import { findManifestOfOwner, listRepositoriesOfManifest, type Manifest } from '../db/manifests.ts'
import type { AppViewDb } from '../db/schema.ts'
import { findTagOfRecord } from '../db/tag-records.ts'
import { findTag } from '../db/tags.ts'
import { AppViewError, type AppViewErrorCode } from '../errors.ts'
import type { ManifestNotice } from '../ports/hold-notifier.ts'
import type { PdsManifests } from '../ports/pds-manifests.ts'
import { applyManifest } from '../read-model/manifest.ts'
import { applyTag } from '../read-model/tag.ts'
import { CommitQueue } from './commit-queue.ts'
import type { ManifestStore } from './manifest-store.ts'
import type { PushEvent, PushEvents } from './push-events.ts'
import {
  blobJson,
  recordOf,
  writeManifests,
  type KnownManifest,
  type KnownRecords,
  type WantedManifest,
  type WrittenManifests,
} from './manifest-writer.ts'

/** A manifest to be committed, and who pushes it. */
export interface Push extends WantedManifest {
  writer: Did
}

interface Needs {
  db: AppViewDb
  pds: PdsManifests
  store: ManifestStore
  pushEvents: Pick<PushEvents, 'note' | 'tell'>
}

type Outcome = PromiseSettledResult<void>

/** What a manifest's record has beside the manifest, and a tag's record, at most in everyday use. */
const recordOverheadBytes = 2_000
const tagRecordBytes = 1_000
const manifestRecordBytesMax = 100_000

/** Pushes on their way into the owner's PDS and the index: those of one owner that wait together are one commit. */
export class ManifestCommits {
  readonly #needs: Needs
  readonly #queue = new CommitQueue<Push>((pushes) => this.#commit(pushes, new Map()))

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /** Resolves when PDS and index have it. @throws {AppViewError} `reference_invalid`, and PDS failures */
  write(push: Push): Promise<void> {
    const { ownerDid, bytes, tags } = push
    return this.#queue.add(ownerDid, push, {
      writeCount: 1 + tags.length,
      sizeBytes:
        Math.min(bytes.byteLength, manifestRecordBytesMax) +
        recordOverheadBytes +
        tags.length * tagRecordBytes,
    })
  }

  /** Runs something else that commits, while no push of this owner's does. */
  alone<T>(ownerDid: Did, action: () => Promise<T>): Promise<T> {
    return this.#queue.alone(ownerDid, action)
  }

  /** All in one commit; when that fails one by one, so that a push fails by its own fault only. */
  async #commit(pushes: readonly Push[], uploaded: Map<Digest, PdsBlobJson>): Promise<readonly Outcome[]> {
    try {
      const known = await this.#known(pushes)
      const written = await writeManifests(this.#needs.pds, pushes, known, uploaded)
      if (written.commit !== undefined) await this.#apply(written.commit, pushes, written)
      return pushes.map(() => ({ status: 'fulfilled', value: undefined }))
    } catch (error) {
      if (pushes.length === 1 || concernsEveryPush(error)) return pushes.map(() => rejected(error))
    }
    const outcomes: Outcome[] = []
    for (const push of pushes) {
      const last = outcomes.at(-1)
      const isHopeless = last?.status === 'rejected' && concernsEveryPush(last.reason)
      outcomes.push(...(isHopeless ? [last] : await this.#commit([push], uploaded)))
    }
    return outcomes
  }

  async #known(pushes: readonly Push[]): Promise<KnownRecords> {
    const { db } = this.#needs
    const manifests = new Map<Digest, KnownManifest>()
    const dates = new Map<string, Date>()
    const names = new Map<string, TagName>()
    for (const { ownerDid, repository, digest, tags } of pushes) {
      const row = await findManifestOfOwner(db, ownerDid, digest)
      if (row !== undefined) manifests.set(digest, await this.#knownManifest(row))
      for (const tag of tags) {
        const rkey = tagRkey(repository, tag)
        const mine = { repository, tag }
        assertSameTag(mine, names.get(rkey) ?? (await findTagOfRecord(db, ownerDid, rkey)))
        names.set(rkey, mine)
        const known = await findTag(db, { ownerDid, name: repository }, tag)
        if (known !== undefined) dates.set(rkey, new Date(known.createdAt))
      }
    }
    return { manifests, tags: dates }
  }

  async #knownManifest(row: Manifest): Promise<KnownManifest> {
    const { ownerDid, digest, blobCid, mediaType, sizeBytes, holdDid } = row
    return {
      // A size that is not known (legacy) would make a wrong reference: better to upload again.
      blob: blobCid !== undefined && sizeBytes > 0 ? blobJson({ cid: blobCid, mimeType: mediaType, sizeBytes }) : undefined, // prettier-ignore
      holdDid,
      repositories: await listRepositoriesOfManifest(this.#needs.db, ownerDid, digest),
      createdAt: new Date(row.createdAt),
    }
  }

  async #apply(
    { rev }: CommitResult,
    pushes: readonly Push[],
    { manifests, tags }: WrittenManifests,
  ): Promise<void> {
    const { db, pushEvents, store } = this.#needs
    const events = pushes.flatMap(eventsOf)
    await db.transaction().execute(async (tx) => {
      for (const [digest, { wanted, ...state }] of manifests) {
        const { ownerDid: did, bytes } = wanted
        const record = recordOf(wanted, state)
        await applyManifest(tx, { did, rkey: manifestRkey(digest), rev, record, sizeBytes: bytes.byteLength })
      }
      for (const [rkey, { wanted, tag, createdAt }] of tags) {
        const { repository, digest, now } = wanted
        const dates = { createdAt: createdAt.toISOString(), updatedAt: now.toISOString() }
        await applyTag(tx, { did: wanted.ownerDid, rkey, rev, record: { repository, tag, digest, ...dates } })
      }
      for (const push of pushes) {
        const { digest, manifest, bytes, now } = push
        await store.put(tx, digest, { mediaType: manifest.mediaType, bytes, cachedAt: now })
        await insertHoldNotification(tx, {
          id: randomId(),
          holdDid: push.holdDid,
          accountDid: push.writer,
          payload: noticeOf(push),
          attempts: 0,
          nextAt: now.toISOString(),
          createdAt: now.toISOString(),
        })
      }
      await pushEvents.note(tx, events)
    })
    pushEvents.tell(events)
  }
}

/** One for each tag; one without for a manifest that is pushed by its digest alone. */
function eventsOf({ manifest, now: at, tags, writer, ...push }: Push): PushEvent[] {
  const { digest, holdDid, ownerDid, repository } = push
  const event = {
    ownerDid,
    repository,
    digest,
    mediaType: manifest.mediaType,
    holdDid,
    pusherDid: writer,
    at,
  }
  return tags.length === 0 ? [event] : tags.map((tag) => ({ ...event, tag }))
}

interface TagName {
  repository: string
  tag: string
}

/** @throws {AppViewError} `reference_invalid`: `a_b` + `c` and `a` + `b_c` share a record key */
function assertSameTag(mine: TagName, other: TagName | undefined): void {
  if (other === undefined || (other.repository === mine.repository && other.tag === mine.tag)) return
  throw new AppViewError(
    'reference_invalid',
    `tag ${mine.tag} of ${mine.repository} and tag ${other.tag} of ${other.repository} share a record key; choose another tag`,
  )
}

const ofThePds: readonly AppViewErrorCode[] = ['rate_limited', 'session_lost', 'pds_unreachable', 'identity_unreachable'] // prettier-ignore

/** Whether the next push would fare no better: then a PDS in trouble is spared the question. */
function concernsEveryPush(error: unknown): boolean {
  return error instanceof AppViewError && ofThePds.includes(error.code)
}

function rejected(reason: unknown): Outcome {
  return { status: 'rejected', reason }
}

/** What the hold is told: what the manifest points at, not the whole of it. */
function noticeOf({ repository, ownerDid, digest, manifest, tags }: WantedManifest): ManifestNotice {
  const plain = (descriptor: Descriptor) => ({
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.sizeBytes,
  })
  const [tag] = tags
  return {
    operation: 'push',
    repository,
    userDid: ownerDid,
    manifestDigest: digest,
    ...(tag === undefined ? {} : { tag }),
    manifest: {
      mediaType: manifest.mediaType,
      ...(manifest.config === undefined ? {} : { config: plain(manifest.config) }),
      ...(manifest.isIndex
        ? { manifests: manifest.manifests.map(plain) }
        : { layers: manifest.layers.map(plain) }),
      ...(manifest.subject === undefined ? {} : { subject: plain(manifest.subject) }),
    },
  }
}
