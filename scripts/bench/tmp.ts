import { openDatabase } from '../../src/lib/database.ts'
import { migrations } from '../../src/appview/db/migrations.ts'
import * as L from '../../src/appview/db/listings.ts'
import { findListed } from '../../src/appview/db/repository-lists.ts'
import { fillRegistry } from './registry-filling.ts'
import { sumStatsOfAll } from '../../src/appview/db/hold-stats.ts'
const db = await openDatabase<any>({ path: '/tmp/w/b.db' }, migrations)
if (!(await db.selectFrom('tags').selectAll().limit(1).executeTakeFirst())) await fillRegistry(db, 100)
const r = { ownerDid: 'did:plc:busy', name: 'busy' } as const
const jobs: Record<string, () => Promise<unknown>> = {
  count: () => L.countShownTags(db, r, undefined),
  sum: () => L.sumShownSize(db, r, undefined),
  holds: () => L.listShownHolds(db, r, undefined),
  untagged: () => L.listUntaggedManifests(db, r, { limit: 21, viewer: undefined }),
  find: () => L.findShownRepository(db, r, undefined),
  among: () => L.listShownAmong(db, [r], undefined),
  tags: () => L.listShownTags(db, r, { limit: 50, viewer: undefined }),
  tagsLast: () => L.listShownTags(db, r, { limit: 50, offset: 9950, viewer: undefined }),
  listed: () => findListed(db, [r], undefined),
  stats: () => sumStatsOfAll(db, [r]),
}
for (const [n, j] of Object.entries(jobs)) {
  await j()
  const a = process.cpuUsage()
  for (let i = 0; i < 5; i++) await j()
  const b = process.cpuUsage(a)
  console.log(n, ((b.user + b.system) / 5000).toFixed(1))
}
await db.destroy()
