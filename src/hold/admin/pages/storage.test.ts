import { expect, test } from 'vitest'

import { noCounts, type GcProgress } from '../../services/gc-progress.ts'
import { loadAssets } from '../../web/assets.ts'
import { storagePage } from './storage.ts'

const now = new Date('2026-01-01T00:10:00Z')

async function pageOf(progress: Partial<GcProgress>): Promise<string> {
  const shell = { assets: loadAssets(), host: 'hold.example' }
  const account = { did: 'did:plc:captain', handle: undefined, formToken: 'token' }
  const view = { progress: { ...noCounts, state: 'idle', isDryRun: true, ...progress } as const, notice: undefined, now } // prettier-ignore
  return String(await storagePage(shell, account, view)).replaceAll(/\s+/g, ' ')
}

test('a run that goes on is looked at again without scripts, and no other is offered', async () => {
  const page = await pageOf({
    state: 'running',
    phase: 'marking',
    isDryRun: false,
    startedAt: '2026-01-01T00:00:00Z',
    manifestsChecked: 250,
    manifestsTotal: 1000,
  })
  expect(page).toContain('<meta http-equiv="refresh" content="3" />')
  expect(page).toMatch(/<progress max="1000" value="250"/)
  expect(page).toContain('250 of 1,000')
  expect(page).not.toContain('/admin/storage/collect')
})

test('a preview says what would go and offers both; a page at rest is not loaded again', async () => {
  const page = await pageOf({ state: 'done', blobsDeletable: 3, bytesDeletable: 4_200_000, blobsWaiting: 2 })
  expect(page).toContain('3 blobs, 4.2 MB,</strong> would be deleted now')
  expect(page).not.toContain('http-equiv="refresh"')
  expect(page).toMatch(/value="preview".*value="run"/)
})

test('a failure says why', async () => {
  const page = await pageOf({ state: 'failed', isDryRun: false, error: 'the store <did> not answer' })
  expect(page).toContain('the store &lt;did&gt; not answer')
})
