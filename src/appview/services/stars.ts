import { isDid, normalizeDid, type Did } from '../../atproto/syntax.ts'
import type { Now } from '../../lib/clock.ts'
import { buildStarRecord, starCollection, starRkey } from '../../protocol/lexicon/star-record.ts'
import { OciError } from '../../protocol/oci/errors.ts'
import { parseRepositoryPath, type RepositoryPath } from '../../protocol/oci/repository-path.ts'
import { findShownRepository } from '../db/listings.ts'
import type { AppViewDb, RepositoryKey } from '../db/schema.ts'
import { listStarRkeys } from '../db/stars.ts'
import { AppViewError } from '../errors.ts'
import type { OwnRecords } from './own-records.ts'

interface Needs {
  db: AppViewDb
  ownRecords: Pick<OwnRecords, 'edit'>
  now: Now
}

/** Stars: records in the sailor's own PDS, one a repository. */
export class Stars {
  readonly #needs: Needs

  constructor(needs: Needs) {
    this.#needs = needs
  }

  /**
   * Stars a repository; the same result if repeated, also where other software wrote the star.
   * @throws {AppViewError} `repository_unknown` for one the sailor may not see, and what {@link OwnRecords.edit} throws
   */
  async put(sailorDid: Did, repository: RepositoryKey): Promise<void> {
    const { db, now, ownRecords } = this.#needs
    if ((await findShownRepository(db, repository, sailorDid)) === undefined) {
      throw new AppViewError('repository_unknown', 'there is no such repository, or it is not for you to see')
    }
    const own = ownKey(repository)
    const rkeys = await listStarRkeys(db, sailorDid, repository)
    if (rkeys.some((rkey) => rkey !== own.rkey)) return
    await ownRecords.edit(
      sailorDid,
      own,
      (current) =>
        current ??
        buildStarRecord({ ownerDid: repository.ownerDid, repository: repository.name, createdAt: now() }),
    )
  }

  /**
   * Takes a star back, whoever wrote it. It need not lie on anything that is there.
   * @throws {AppViewError} what {@link OwnRecords.edit} throws
   */
  async delete(sailorDid: Did, repository: RepositoryKey): Promise<void> {
    const { db, ownRecords } = this.#needs
    const own = ownKey(repository)
    const rkeys = new Set([own.rkey, ...(await listStarRkeys(db, sailorDid, repository))])
    for (const rkey of rkeys) await ownRecords.edit(sailorDid, { ...own, rkey }, () => undefined)
  }
}

/** The repository that a form is about. @throws {AppViewError} `repository_unknown` when it can be none */
export function readStarred(ownerText: string, nameText: string): RepositoryKey {
  const { name, owner } = readPath(`${ownerText}/${nameText}`)
  if (isDid(owner)) return { ownerDid: normalizeDid(owner), name }
  throw new AppViewError('repository_unknown', 'a repository is told by the DID of its owner')
}

function readPath(text: string): RepositoryPath {
  try {
    return parseRepositoryPath(text)
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause
    throw new AppViewError('repository_unknown', 'this is the name of no repository', { cause })
  }
}

function ownKey({ ownerDid, name }: RepositoryKey) {
  return { collection: starCollection, rkey: starRkey(ownerDid, name) }
}
