import { expect, test } from 'vitest'

import { pagesFixture, putManifest } from '../../../../test/e2e/pages-fixture.ts'
import { describeManifests } from './manifest.ts'

const alice = 'did:plc:alicealicealicealicealic'

test('of an index with very much below it, no more is read than a page waits for', async () => {
  await using fixture = await pagesFixture({ isEmpty: true })
  const { db } = fixture
  const heavy = { owner: alice, repository: 'heavy', minutes: 1 } as const
  const children = Array.from({ length: 70 }, (_, index) => ({
    name: `child ${index}`,
    platform: { os: 'linux', architecture: `a${index}` },
    sizeBytes: 10,
  }))
  // The first that is looked into and the first that is not; each of a config of 2,100 bytes and layers of one.
  for (const index of [0, 64]) {
    await putManifest(db, { ...heavy, name: `child ${index}`, layers: Array.from({ length: 300 }, () => 1) })
  }
  const digest = await putManifest(db, { ...heavy, name: 'index', platforms: children })
  const view = (await describeManifests(db, { ownerDid: alice }, [digest])).get(digest)
  expect(view?.sizeBytes).toBe(1_234 + 70 * 10 + 2_100 + 255)
  expect(view?.platforms).toHaveLength(70)
})
