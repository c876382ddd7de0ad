/** A small registry to search in: what is there, how well it is known, and who may see it. */
import { putCaptain } from '../../src/appview/db/holds.ts'
import { upsertIdentity } from '../../src/appview/db/identities.ts'
import type { AppViewDb } from '../../src/appview/db/schema.ts'
import { upsertStar } from '../../src/appview/db/stars.ts'
import { applyRepoPage } from '../../src/appview/read-model/repo-page.ts'
import { nextTid, type Did } from '../../src/atproto/syntax.ts'
import { putManifest, putTag } from '../e2e/pages-fixture.ts'

export const alice: Did = 'did:plc:alicealicealicealicealic'
export const bob: Did = 'did:plc:bobbobbobbobbobbobbobbob'
export const openHold: Did = 'did:web:hold.example'
export const vault: Did = 'did:web:vault.example'
export const now = new Date('2026-11-22T10:00:00Z')
const isoNow = now.toISOString()

export interface Shelved {
  owner: Did
  name: string
  stars?: number
  minutes?: number
  page?: string
  description?: string
  holdDid?: Did
  config?: string
  platforms?: string[]
}

const day = 24 * 60

/** What the relevance cases search. */
const shelf: readonly Shelved[] = [
  { owner: alice, name: 'nginx', stars: 3, description: 'A web server.' },
  { owner: bob, name: 'nginx', stars: 40 },
  { owner: alice, name: 'nginx-proxy' },
  { owner: bob, name: 'tools/mynginx', minutes: 400 * day },
  { owner: bob, name: 'gateway', page: '# Gateway\n\nSits in front of **nginx** and others.' },
  { owner: alice, name: 'postgres', platforms: ['linux/amd64', 'linux/arm64'], stars: 1 },
  { owner: alice, name: 'charts/postgres', config: 'application/vnd.cncf.helm.config.v1+json' },
  { owner: bob, name: 'filter', config: 'application/vnd.wasm.config.v0+json' },
  { owner: bob, name: 'my-app', minutes: 3 * day },
  { owner: bob, name: 'cafe', page: 'Ein Café für Müßiggänger, 日本語のコンテナ' },
  { owner: alice, name: 'secret-nginx', holdDid: vault, description: 'unspeakable' },
]

export async function putHold(db: AppViewDb, did: Did, isPublic: boolean): Promise<void> {
  const captain = { ownerDid: alice, allowAllCrew: false, isPublic }
  await putCaptain(db, { did, captain, updatedAt: isoNow })
}

export async function putRepository(db: AppViewDb, it: Shelved): Promise<void> {
  const key = { owner: it.owner, repository: it.name }
  const minutes = it.minutes ?? day
  const digest = await putManifest(db, {
    ...key,
    name: `${it.owner} ${it.name}`,
    minutes,
    holdDid: it.holdDid ?? openHold,
    ...(it.config !== undefined && { config: it.config }),
    ...(it.platforms !== undefined && {
      platforms: it.platforms.map((platform) => {
        const [os = '', architecture = ''] = platform.split('/')
        return { name: `${it.name} ${platform}`, platform: { os, architecture }, sizeBytes: 1000 }
      }),
    }),
    ...(it.description !== undefined && {
      annotations: { 'org.opencontainers.image.description': it.description },
    }),
  })
  await putTag(db, { ...key, tag: 'latest', digest, minutes })
  for (let count = 0; count < (it.stars ?? 0); count++) {
    const repository = { ownerDid: it.owner, name: it.name }
    await upsertStar(db, {
      sailorDid: `did:plc:fan${count}`,
      rkey: `${it.owner} ${it.name}`,
      repository,
      createdAt: isoNow,
    })
  }
  if (it.page !== undefined) {
    const record = { repository: it.name, description: it.page, createdAt: isoNow, updatedAt: isoNow }
    await applyRepoPage(db, { did: it.owner, rkey: it.name.replaceAll('/', '~'), rev: nextTid(), record })
  }
}

export async function fillLibrary(db: AppViewDb): Promise<void> {
  await putHold(db, openHold, true)
  await putHold(db, vault, false)
  await upsertIdentity(db, { did: alice, handle: 'alice.test', resolvedAt: isoNow })
  await upsertIdentity(db, { did: bob, handle: 'bob.builds.example', resolvedAt: isoNow })
  await db
    .insertInto('actor_profiles')
    .values({
      did: alice,
      display_name: 'Alicia Liddell',
      description: null,
      avatar_cid: null,
      fetched_at: isoNow,
    })
    .execute()
  for (const it of shelf) await putRepository(db, it)
}
