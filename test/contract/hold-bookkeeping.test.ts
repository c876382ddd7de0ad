import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Did } from '../../src/atproto/syntax.ts'
import { holdMigrations, type HoldTables } from '../../src/hold/db/schema.ts'
import { insertLayers } from '../../src/hold/db/layers.ts'
import { listLabelsOf, listPostsOf } from '../../src/hold/db/user-data.ts'
import { insertPost, listPostsSince } from '../../src/hold/db/posts.ts'
import { Moderation } from '../../src/hold/services/moderation.ts'
import { Stats } from '../../src/hold/services/stats.ts'
import { openDatabase, type Database } from '../../src/lib/database.ts'
import type { Digest } from '../../src/protocol/oci/digest.ts'
import { startPostgres, type Postgres } from '../network/postgres.ts'

/** Goal: what a hold notes down means the same in either database. */

const digest = `sha256:${'a'.repeat(64)}` as Digest
const did: Did = 'did:plc:alice'
const manifestUri = `at://${did}/io.atcr.manifest/${'b'.repeat(64)}`
const labelerDid: Did = 'did:plc:labeler'

describe.each(['sqlite', 'postgres'] as const)('bookkeeping on %s', (dialect) => {
  let postgres: Postgres | undefined
  let database: Database<HoldTables>
  let nowMs = Date.parse('2026-01-01T00:00:00Z')
  const now = () => new Date(nowMs)

  beforeAll(async () => {
    postgres = dialect === 'postgres' ? await startPostgres() : undefined
    const location = postgres === undefined ? { path: ':memory:' } : { url: postgres.createDatabase() }
    database = await openDatabase<HoldTables>(location, holdMigrations)
  })
  afterAll(async () => {
    await database?.destroy()
    await postgres?.[Symbol.asyncDispose]()
  })

  test('counters', async () => {
    const commits: unknown[][] = []
    const repo = {
      applyWrites: async (writes: readonly unknown[]) => {
        commits.push([...writes])
        return { commit: { cid: '', rev: '' }, isChanged: true, results: [] }
      },
      listRecords: async () => ({ records: [], cursor: undefined }),
    }
    const stats = new Stats({ database, repo, now })
    await stats.count('push', { ownerDid: did, repository: 'app' })
    await stats.count('pull', { ownerDid: did, repository: 'app' }, 41)
    await stats.count('pull', { ownerDid: did, repository: 'app' })
    expect(await stats.flush()).toBe(1)
    expect(await stats.flush()).toBe(0)
    expect(commits).toMatchObject([[{ record: { pullCount: 42, pushCount: 1 } }]])
    expect(await stats.listRepositories({ order: 'pulls', limit: 5 })).toMatchObject([{ pullCount: 42 }])
    expect(await stats.recover()).toBe(0)
  })

  test('takedowns', async () => {
    const row = { manifest_uri: manifestUri, digest, user_did: did, size_bytes: 1, rkey: '3jzfcijpj2z2a', is_written: 1 } // prettier-ignore
    await insertLayers(database, [row])
    const open = () => Moderation.open({ database, labelerDid, graceWindowMs: 1000, now })
    const moderation = await open()
    await moderation.notePush(manifestUri, 'app')
    await moderation.noteRepositories([{ manifestUri, repositories: ['other'] }])
    const uri = `at://${did}/io.atcr.repo.page/app`
    const label = { src: labelerDid, uri, val: '!takedown', isNegation: false, createdAt: now().toISOString(), expiresAt: undefined } // prettier-ignore
    await moderation.apply([label], 7)
    expect([await moderation.cursor(), await moderation.isHidden(digest)]).toEqual([7, true])
    expect(await (await open()).isHidden(digest)).toBe(true)
    const page = { userDid: did, after: '', limit: 10 }
    expect(await listLabelsOf(database, page)).toMatchObject([{ subject: uri, is_negated: 0 }])
    nowMs += 1001
    const removed: string[] = []
    const { signal } = new AbortController()
    const remove = async (manifest: string) => {
      removed.push(manifest)
      await database.deleteFrom('layers').where('manifest_uri', '=', manifest).execute()
    }
    expect(await moderation.removeOverdue(remove, signal)).toBe(1)
    expect(removed).toEqual([manifestUri])
    expect(await moderation.isHidden(digest)).toBe(true)
    expect(await moderation.forgetRepositories(signal)).toBe(1)
    await moderation.apply([{ ...label, isNegation: true, createdAt: now().toISOString() }], 8)
    expect([moderation.list(), await moderation.isHidden(digest)]).toEqual([[], false])
  })

  test('posts', async () => {
    const row = { rkey: '3jzfcijpj2z2a', owner_did: did, repository: 'app', tag: '1', manifest_digest: digest, posted_at: now().toISOString() } // prettier-ignore
    await insertPost(database, row)
    expect(await listPostsSince(database, new Date(nowMs - 1).toISOString())).toEqual([row])
    expect(await listPostsOf(database, { userDid: did, after: '', limit: 5 })).toHaveLength(1)
  })
})
