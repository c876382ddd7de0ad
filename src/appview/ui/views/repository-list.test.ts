import type { KyselyPlugin } from 'kysely'
import { expect, test } from 'vitest'

import { fillDatabase } from '../../../../test/e2e/pages-fixture.ts'
import { openDatabase } from '../../../lib/database.ts'
import { listRecentRepositories } from '../../db/listings.ts'
import { migrations } from '../../db/migrations.ts'
import type { AppViewTables } from '../../db/schema.ts'
import { listEntries } from './repository-list.ts'

test('a list asks five times, however long it is', async () => {
  await using database = await openDatabase<AppViewTables>({ path: ':memory:' }, migrations)
  await fillDatabase(database)
  let count = 0
  const counter: KyselyPlugin = {
    transformQuery: ({ node }) => {
      count++
      return node
    },
    transformResult: async ({ result }) => result,
  }
  const db = database.withPlugin(counter)
  const repositories = await listRecentRepositories(database, { limit: 50 })
  expect(repositories.length).toBeGreaterThan(4)
  const entries = await listEntries({ db, viewer: undefined }, repositories)
  expect(count).toBe(5)
  expect(entries.map(({ path, tagCount, latest }) => [path, tagCount, latest?.tag])).toEqual([
    ['/r/alice.test/app', 6, 'latest'],
    ['/r/alice.test/charts/hello', 1, '0.3.1'],
    [
      '/r/bob.builds-very-long-container-names.example.social/team/backend/services/authentication-and-authorisation-gateway',
      1,
      'sha-6c1f0f2b8a6b4b0f9f5c2f7d1e3a4b5c6d7e8f90',
    ],
    ['/r/alice.test/busy', 120, 'build-00000'],
    ['/r/did:plc:namelessnamelessnameless/model', 1, 'q4'],
  ])
  expect(entries[0]).toMatchObject({ description: 'A small web server that says hello, in Rust.' })
  expect(entries[0]?.latest?.manifest?.platforms).toEqual(['linux/amd64', 'linux/arm64/v8', 'linux/riscv64'])
  expect(entries[3]).toMatchObject({ description: 'Built on every commit.' })
  expect(await listEntries({ db, viewer: undefined }, [])).toEqual([])
})
