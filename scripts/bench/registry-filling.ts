/** A registry of any size: rows as records would make them, written many at a time. */
import { sql, type Insertable } from 'kysely'

import { putCaptain } from '../../src/appview/db/holds.ts'
import type { AppViewDb, AppViewTables } from '../../src/appview/db/schema.ts'
import type { Did } from '../../src/atproto/syntax.ts'
import type { Database } from '../../src/lib/database.ts'
import { sha256Hex } from '../../src/lib/ids.ts'
import { parseDigest } from '../../src/protocol/oci/digest.ts'
import { now } from '../../test/e2e/pages-fixture.ts'

const hold: Did = 'did:web:hold.example'
const repositoriesPerOwner = 20
const layerCount = 4
const busyTagCount = 10_000
const minuteMs = 60_000
const words = ['app', 'web', 'service', 'nginx', 'proxy', 'database', 'redis', 'worker', 'gateway', 'billing', 'search', 'mail', 'cache', 'queue', 'agent', 'exporter'] // prettier-ignore
const rareWord = 'xylophone'

type Rows = { [Table in 'repositories' | 'manifests' | 'manifest_repositories' | 'manifest_links' | 'tags' | 'stars']: Insertable<AppViewTables[Table]>[] } // prettier-ignore

const word = (index: number) => words[index % words.length] as string
const ownerOf = (index: number): Did => `did:plc:owner${Math.floor(index / repositoriesPerOwner)}`
const handleOf = (owner: number) => `person${owner}.${word(owner)}.example`
const nameOf = (index: number) =>
  index === 7
    ? rareWord
    : `${word(index)}-${word(Math.floor(index / 16))}${index % 3 === 0 ? '' : `/part${index}`}-${index}`
const digestOf = (text: string) => parseDigest(`sha256:${sha256Hex(text)}`)
const timeOf = (index: number) => new Date(now.getTime() - index * minuteMs).toISOString()

/** The addresses of what was filled in. */
export const paths = (count: number): Record<string, string> => {
  const index = Math.floor(count / 2)
  const owner = handleOf(Math.floor(index / repositoriesPerOwner))
  const repository = `/r/${owner}/${nameOf(index)}`
  return {
    home: '/',
    'search: common word': '/search?q=service',
    'search: common prefix': '/search?q=serv',
    'search: one letter': '/search?q=s',
    'search: common, page 3': '/search?q=service&page=3',
    'search: two common words': '/search?q=nginx+proxy',
    'search: word in all descriptions': '/search?q=container',
    'search: rare word': `/search?q=${rareWord}`,
    'search: typing error': '/search?q=xylophnoe',
    'search: typing error, common word': '/search?q=gatewya',
    'search: part of words': '/search?q=ylopho',
    'search: nothing': '/search?q=zzzzqqqq',
    'search: owner': `/search?q=owner%3A${owner.split('.')[0]}`,
    'search: kind only': '/search?kind=helm',
    'search: kind and word': '/search?q=service&kind=helm',
    person: `/u/${owner}`,
    'person, stars': `/u/${owner}/stars`,
    repository,
    tag: `${repository}/tags/latest`,
    manifest: `${repository}/manifests/${digestOf(`manifest ${index}`)}`,
  }
}
/** A repository with many tags, each a manifest of its own. */
export const busyPath: Record<string, string> = {
  [`repository, ${busyTagCount} tags`]: '/r/busy.example/busy',
  'the same, last page of tags': `/r/busy.example/busy?page=${busyTagCount / 50}`,
  'tag of it': '/r/busy.example/busy/tags/build-5000',
  'person with it': '/u/busy.example',
  'search for it': '/search?q=busy',
}

/** Fills an empty database with repositories of one tag each, and one of very many tags. */
export async function fillRegistry(db: Database<AppViewTables>, count: number): Promise<void> {
  await putCaptain(db, {
    did: hold,
    captain: { ownerDid: ownerOf(0), allowAllCrew: false, isPublic: true },
    updatedAt: timeOf(0),
  })
  const ownerCount = Math.ceil(count / repositoriesPerOwner)
  const identity = (did: Did, handle: string) => ({ did, handle, pds_url: null, is_active: 1 as const, handle_at: timeOf(0), active_at: '' }) // prettier-ignore
  const identities = [identity('did:plc:busy', 'busy.example')]
  for (let owner = 0; owner < ownerCount; owner++) {
    identities.push(identity(ownerOf(owner * repositoriesPerOwner), handleOf(owner)))
  }
  await insert(db, 'identities', identities)
  let rows = emptyRows()
  for (let index = 0; index < count; index++) {
    addRepository(rows, index)
    if (index % 2000 === 1999) {
      await insertRows(db, rows)
      rows = emptyRows()
    }
  }
  addBusy(rows)
  await insertRows(db, rows)
  // One entry for each repository, as for a registry that gets a search index: triggers noted owners and the hold too.
  await db.deleteFrom('search_changes').execute()
  await sql`insert into search_changes (scope, did, name)
    select 'repository', owner_did, name from repositories order by updated_at`.execute(db)
  // As the server does by itself after a while.
  await sql`analyze`.execute(db)
}

const emptyRows = (): Rows => ({ repositories: [], manifests: [], manifest_repositories: [], manifest_links: [], tags: [], stars: [] }) // prettier-ignore

function addRepository(rows: Rows, index: number): void {
  const repository = { did: ownerOf(index), name: nameOf(index), at: timeOf(index) }
  rows.repositories.push({ owner_did: repository.did, name: repository.name, created_at: repository.at, updated_at: repository.at }) // prettier-ignore
  addManifest(rows, repository, { name: `manifest ${index}`, tag: 'latest', isHelm: index % 50 === 0 })
  // A few are known to many.
  const starCount = index % 1000 === 0 ? 30 : index % 100 === 0 ? 3 : 0
  for (let star = 0; star < starCount; star++) {
    rows.stars.push({ sailor_did: `did:plc:owner${star}`, rkey: `star${index}`, owner_did: repository.did, repository: repository.name, created_at: repository.at }) // prettier-ignore
  }
}

function addBusy(rows: Rows): void {
  const repository = { did: 'did:plc:busy' as Did, name: 'busy' }
  rows.repositories.push({ owner_did: repository.did, name: repository.name, created_at: timeOf(busyTagCount), updated_at: timeOf(0) }) // prettier-ignore
  for (let index = 0; index < busyTagCount; index++) {
    addManifest(
      rows,
      { ...repository, at: timeOf(index) },
      { name: `busy ${index}`, tag: `build-${index}`, isHelm: false },
    )
  }
}

function addManifest(
  rows: Rows,
  { at, did, name: repository }: { did: Did; name: string; at: string },
  { isHelm, name, tag }: { name: string; tag: string; isHelm: boolean },
): void {
  const digest = digestOf(name)
  rows.manifests.push({
    owner_did: did,
    digest,
    media_type: 'application/vnd.oci.image.manifest.v1+json',
    artifact_type: isHelm ? 'application/vnd.cncf.helm.config.v1+json' : null,
    subject_digest: null,
    size_bytes: 1200,
    hold_did: hold,
    record_rkey: digest.slice('sha256:'.length),
    blob_cid: null,
    annotations: JSON.stringify({ 'org.opencontainers.image.description': `A container of ${word(name.length)} for ${repository}` }), // prettier-ignore
    created_at: at,
  })
  rows.manifest_repositories.push({ owner_did: did, repository, digest, created_at: at })
  for (let position = 0; position <= layerCount; position++) {
    rows.manifest_links.push({
      owner_did: did,
      digest,
      position,
      kind: position === 0 ? 'config' : 'layer',
      // The lowest layer is the same everywhere.
      target_digest: position === 1 ? digestOf('base') : digestOf(`${name} ${position}`),
      media_type: 'application/vnd.oci.image.layer.v1.tar+gzip',
      size_bytes: 1_000_000 * position,
      platform: null,
      annotations: null,
      artifact_type: null,
    })
  }
  rows.tags.push({ owner_did: did, repository, tag, record_rkey: `${repository.replaceAll('/', '~')}_${tag}`, digest, created_at: at, updated_at: at }) // prettier-ignore
}

async function insertRows(db: AppViewDb, rows: Rows): Promise<void> {
  await db.transaction().execute(async (tx) => {
    for (const table of Object.keys(rows) as (keyof Rows)[]) await insert(tx, table, rows[table])
  })
}

async function insert<Table extends keyof AppViewTables>(
  db: AppViewDb,
  table: Table,
  rows: readonly Insertable<AppViewTables[Table]>[],
): Promise<void> {
  for (let start = 0; start < rows.length; start += 500) {
    await db
      .insertInto(table)
      .values(rows.slice(start, start + 500))
      .execute()
  }
}
