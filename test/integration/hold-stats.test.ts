import { expect, test } from 'vitest'

import { parseStatsRecord, statsCollection, statsRkey } from '../../src/protocol/lexicon/stats-record.ts'
import type { TestAccount } from './test-hold.ts'
import { digestOf, TestHold } from './test-hold.ts'

/** Goal: no pull or push is lost or counted twice, whatever dies when; records follow at intervals, many in one commit. */

const notifyManifest = 'io.atcr.hold.notifyManifest'

async function notify(hold: TestHold, more: object, as?: TestAccount) {
  const input = {
    operation: 'push',
    repository: 'app',
    userDid: hold.accounts.captain.did,
    manifestDigest: digestOf(Buffer.from('manifest')),
    manifest: { layers: [] },
    ...more,
  }
  return hold.call(notifyManifest, { input, ...(as && { as }) })
}

async function recordOf(hold: TestHold, repository = 'app') {
  const rkey = statsRkey(hold.accounts.captain.did, repository)
  const record = await hold.running.context.repo.findRecord(statsCollection, rkey)
  return record && parseStatsRecord(record.value)
}

const latest = (hold: TestHold) => hold.running.context.repo.getLatestCommit().rev

test('pushes and pulls are counted at once and written in one commit', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  const { captain } = hold.accounts
  const { stats } = hold.running.context
  for (const repository of ['app', 'team/other']) await notify(hold, { repository }, captain)
  expect((await notify(hold, { operation: 'pull', count: 41 })).body['statsUpdated']).toBe(true)
  await notify(hold, { operation: 'pull' }, hold.accounts.stranger)
  const before = latest(hold)
  expect(await recordOf(hold)).toBeUndefined()
  const [first] = await stats.listRepositories({ order: 'pulls', limit: 1 })
  expect(first).toMatchObject({ ownerDid: captain.did, repository: 'app', pullCount: 42, pushCount: 1 })

  expect(await stats.flush()).toBe(2)
  const commit = latest(hold)
  expect(commit).not.toBe(before)
  expect(await recordOf(hold)).toMatchObject({ repository: 'app', pullCount: 42, pushCount: 1 })
  expect(await recordOf(hold, 'team/other')).toMatchObject({ pullCount: 0, pushCount: 1 })
  const events = await hold.running.context.database.selectFrom('repo_events').select('seq').execute()
  await notify(hold, { operation: 'pull' })
  await stats.flush()
  expect(await stats.flush()).toBe(0)
  const later = await hold.running.context.database.selectFrom('repo_events').select('seq').execute()
  expect(later.length - events.length).toBe(1)
  expect((await recordOf(hold))?.pullCount).toBe(43)
})

test('a stop writes what was counted', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  await notify(hold, {}, hold.accounts.captain)
  await notify(hold, { operation: 'pull', count: 5 })
  await hold.stop()
  await hold.restart()
  expect(await recordOf(hold)).toMatchObject({ pullCount: 5, pushCount: 1 })
  expect(await hold.running.context.stats.flush()).toBe(0)
})

test('what was counted between the commit and the note of it is still to be written; a crash there changes nothing', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  const { database, repo } = hold.running.context
  await notify(hold, {}, hold.accounts.captain)
  const rows = await database.selectFrom('repository_stats').selectAll().execute()
  await hold.running.context.stats.flush()
  // As a crash between the two leaves it.
  await database
    .updateTable('repository_stats')
    .set({ unwritten_count: rows[0]?.unwritten_count ?? 0 })
    .execute()
  const rev = latest(hold)
  expect(await hold.running.context.stats.flush()).toBe(1)
  expect(latest(hold)).toBe(rev)

  // Counted while the commit is made.
  await notify(hold, { operation: 'pull' })
  const applyWrites = repo.applyWrites.bind(repo)
  repo.applyWrites = async (...parameters) => {
    repo.applyWrites = applyWrites
    await notify(hold, { operation: 'pull', count: 7 })
    return applyWrites(...parameters)
  }
  await hold.running.context.stats.flush()
  expect((await recordOf(hold))?.pullCount).toBe(8)
})

test('counters of a lost database are taken over from the records', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  await notify(hold, {}, hold.accounts.captain)
  await notify(hold, { operation: 'pull', count: 9 })
  await hold.running.context.stats.flush()
  await hold.running.context.database.deleteFrom('repository_stats').execute()
  await hold.restart()
  await notify(hold, { operation: 'pull' })
  await hold.running.context.stats.flush()
  expect(await recordOf(hold)).toMatchObject({ pullCount: 10, pushCount: 1 })
})

test('counters of an older hold, under any key and more than once, become one record; ours is believed first', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  const { repo } = hold.running.context
  const { captain } = hold.accounts
  const older = (repository: string, pullCount: number) => ({ ownerDid: captain.did, repository, pullCount, pushCount: 1, updatedAt: '2025-01-01T00:00:00Z' }) // prettier-ignore
  await repo.createRecord(statsCollection, '3jzfcijpj2z2a', older('app', 5))
  await repo.createRecord(statsCollection, statsRkey(captain.did, 'app'), older('app', 7))
  await repo.createRecord(statsCollection, '7zzzzzzzzzz2a', older('app', 3))
  await repo.createRecord(statsCollection, '3jzfcijpj2z2b', older('other', 11))
  await hold.restart()
  expect([(await recordOf(hold))?.pullCount, (await recordOf(hold, 'other'))?.pullCount]).toEqual([7, 11])
  expect(await hold.running.context.repo.countRecords(statsCollection)).toBe(2)
  const [most] = await hold.running.context.stats.listRepositories({ order: 'pulls', limit: 1 })
  expect(most).toMatchObject({ repository: 'other', pullCount: 11 })
})

test('hundreds of repositories are few commits, each within its limits', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  const { stats, database } = hold.running.context
  for (let index = 0; index < 450; index++) {
    await stats.count('push', { ownerDid: hold.accounts.captain.did, repository: `r/${index}` })
  }
  const count = async () => (await database.selectFrom('repo_events').select('seq').execute()).length
  const before = await count()
  expect(await stats.flush()).toBe(450)
  expect((await count()) - before).toBe(3)
  expect(await hold.running.context.repo.countRecords(statsCollection)).toBe(450)
})

test('lies about pulls add nothing to unknown repositories, and little to others', async () => {
  await using hold = await TestHold.start({ isPublic: true })
  await notify(hold, {}, hold.accounts.captain)
  expect((await notify(hold, { operation: 'pull', repository: 'made-up' })).body['statsUpdated']).toBe(false)
  expect((await notify(hold, { operation: 'pull', repository: 'No/Name' })).body['error']).toBe(
    'InvalidRequest',
  )
  expect((await notify(hold, { operation: 'pull', count: 10_001 })).body['error']).toBe('InvalidRequest')
  expect((await notify(hold, { operation: 'pull', count: 0 })).body['error']).toBe('InvalidRequest')
  for (let index = 0; index < 4; index++) await notify(hold, { operation: 'pull', count: 10_000 })
  const rows = await hold.running.context.database.selectFrom('repository_stats').selectAll().execute()
  expect(rows.map(({ repository, pull_count }) => [repository, pull_count])).toEqual([['app', 20_000]])
})

test('a private hold counts pulls of those who may read', async () => {
  await using hold = await TestHold.start()
  await notify(hold, {}, hold.accounts.captain)
  expect((await notify(hold, { operation: 'pull' })).status).toBe(401)
  expect((await notify(hold, { operation: 'pull' }, hold.accounts.stranger)).status).toBe(403)
  expect((await notify(hold, { operation: 'pull' }, hold.accounts.captain)).body['statsUpdated']).toBe(true)
})
