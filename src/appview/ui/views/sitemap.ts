import { isDid } from '../../../atproto/syntax.ts'
import type { AppViewDb, RepositoryKey } from '../../db/schema.ts'
import { listMappedOwners, listMappedRepositories } from '../../db/sitemap.ts'

/** A page worth finding. */
export interface MappedPage {
  path: string
  updatedAt: string
}

/** The two kinds of parts that a map has. */
export type MapKind = 'people' | 'repositories'

/** The protocol allows 50,000 addresses and 50 MB a part. A batch is read at once, and nothing else runs while SQLite reads. */
const mapCounts = { part: 10_000, batch: 500 }

/** Where the parts of a kind begin: after which key, `''` for the first. Walks over everything there is, in small steps. */
export async function listMapParts(db: AppViewDb, kind: MapKind, counts = mapCounts): Promise<string[]> {
  const parts = ['']
  for (let after = ''; ;) {
    for (let count = 0; count < counts.part; count += counts.batch) {
      const [last] = await readers[kind](db, { after, limit: 1, skip: counts.batch - 1 })
      if (last === undefined) return parts
      after = last.key
    }
    parts.push(after)
  }
}

/** One part, page by page of the database. An unknown key begins wherever it would stand. */
export async function* listMapPart(
  db: AppViewDb,
  kind: MapKind,
  after: string,
  counts = mapCounts,
): AsyncGenerator<MappedPage[], void, undefined> {
  for (let count = 0; count < counts.part; count += counts.batch) {
    const pages = await readers[kind](db, { after, limit: counts.batch, skip: 0 })
    yield pages
    const last = pages.at(-1)
    if (last === undefined || pages.length < counts.batch) return
    after = last.key
  }
}

type Read = (
  db: AppViewDb,
  page: { after: string; limit: number; skip: number },
) => Promise<(MappedPage & { key: string })[]>

const readers: Record<MapKind, Read> = {
  people: async (db, { after, ...page }) => {
    const owners = await listMappedOwners(db, { ...page, after: isDid(after) ? after : undefined })
    return owners.map(({ did, handle, updatedAt }) => ({ key: did, path: `/u/${handle ?? did}`, updatedAt }))
  },
  repositories: async (db, { after, ...page }) => {
    const repositories = await listMappedRepositories(db, { ...page, after: readKey(after) })
    return repositories.map(({ ownerDid, name, handle, updatedAt }) => ({
      key: `${ownerDid}/${name}`,
      path: `/r/${handle ?? ownerDid}/${name}`,
      updatedAt,
    }))
  },
}

function readKey(text: string): RepositoryKey | undefined {
  const [, did = '', name = ''] = /^([^/]+)\/([\w./-]+)$/.exec(text) ?? []
  return isDid(did) ? { ownerDid: did, name } : undefined
}
