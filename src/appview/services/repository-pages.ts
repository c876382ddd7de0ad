import type { Did } from '../../atproto/syntax.ts'
import type { BlobJson } from '../../atproto/pds-records.ts'
import type { Now } from '../../lib/clock.ts'
import { sha256Hex } from '../../lib/ids.ts'
import { imageTypeOf, type ImageType } from '../../lib/image-type.ts'
import {
  buildRepoPageRecord,
  parseRepoPageRecord,
  repoPageCollection,
  repoPageRkey,
} from '../../protocol/lexicon/repo-page-record.ts'
import type { OwnRecords } from './own-records.ts'

/** What an owner changes. */
export interface PageChange {
  /** Markdown; empty: none. */
  description: string
  /** Another picture, none, or the one that is there. */
  picture: { bytes: Uint8Array; type: ImageType } | 'none' | 'same'
  /** {@link pageVersion} of what the owner saw. */
  version: string
}

/** The part of a page that people edit. */
export interface PageContent {
  description: string
  avatarCid: string | undefined
}

export const pageDescriptionBytesMax = 100_000
const pictureTypes: ReadonlySet<ImageType | undefined> = new Set(['image/png', 'image/jpeg', 'image/webp'])

interface Needs {
  ownRecords: Pick<OwnRecords, 'edit' | 'uploadBlob'>
  now: Now
}

/** What owners tell about their repositories: a record in their own PDS. */
export class RepositoryPages {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Writes a page, keeping what other programs put into the record. Where it is not what the owner saw any more, nothing
   * is written, and the answer is what stands there now.
   * @throws {AppViewError} what {@link OwnRecords} throws
   */
  async put(did: Did, repository: string, change: PageChange): Promise<PageContent | undefined> {
    const { now, ownRecords } = this.#needs
    const { description, picture, version } = change
    const avatar =
      typeof picture === 'string' ? picture : await ownRecords.uploadBlob(did, picture.bytes, picture.type)
    let theirs: PageContent | undefined
    await ownRecords.edit(
      did,
      { collection: repoPageCollection, rkey: repoPageRkey(repository) },
      (current) => {
        const content = contentOf(current)
        theirs = pageVersion(content) === version ? undefined : content
        if (theirs !== undefined) return current
        return editedPage(current, { repository, description, avatar, now: now() })
      },
    )
    return theirs
  }
}

/** Tells one content of a page from another; the same for a page without content and for none. */
export function pageVersion({ avatarCid, description }: PageContent): string {
  return sha256Hex(JSON.stringify([description, avatarCid ?? ''])).slice(0, 32)
}

/** What a chosen picture is; undefined for everything that a page cannot have. */
export function pictureOf(bytes: Uint8Array): Exclude<PageChange['picture'], string> | undefined {
  const type = imageTypeOf(bytes)
  return type !== undefined && pictureTypes.has(type) ? { bytes, type } : undefined
}

function editedPage(
  current: Record<string, unknown> | undefined,
  page: { repository: string; description: string; avatar: BlobJson | 'none' | 'same'; now: Date },
): Record<string, unknown> {
  const { avatar, description, now, repository } = page
  const { avatar: avatarBefore, description: _, createdAt, ...others } = current ?? {}
  const avatarAfter = avatar === 'same' ? avatarBefore : avatar === 'none' ? undefined : avatar
  const built = buildRepoPageRecord({
    repository,
    createdAt: now,
    updatedAt: now,
    ...(description !== '' && { description }),
  })
  return {
    ...others,
    ...built,
    ...(typeof createdAt === 'string' && { createdAt }),
    ...(avatarAfter !== undefined && { avatar: avatarAfter }),
  }
}

/** A record that is none of ours is one without content, and is replaced. */
function contentOf(record: Record<string, unknown> | undefined): PageContent {
  try {
    const { avatar, description = '' } = parseRepoPageRecord(record)
    return { description, avatarCid: avatar?.cid }
  } catch {
    return { description: '', avatarCid: undefined }
  }
}
