import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, test } from 'vitest'

import { TestNetwork } from '../network/test-network.ts'
import { manifestRows } from './input-rows/manifests.ts'
import { nameRows } from './input-rows/names.ts'
import { judge, type Row } from './input-rows/row.ts'
import { tokenRows } from './input-rows/tokens.ts'
import { uploadRows } from './input-rows/uploads.ts'
import { RegistryUnderTest } from './registry-under-test.ts'

/**
 * Goal: whatever a client sends gets the right refusal, in the registry's own words, and never a 5xx or silence.
 * Method: one row, one case, over sockets of our own, so that nothing is normalised on the way.
 */
describe.each(['relay', 'direct'] as const)('bad input, uploads go %s', (uploadMode) => {
  let folder: string
  let network: TestNetwork
  let registry: RegistryUnderTest

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atcr-input-table-'))
    network = await TestNetwork.create({ uploadMode, dataDir: folder })
    const { alice, bob } = network.accounts
    registry = new RegistryUnderTest({
      url: network.appview.url,
      owner: { username: alice.handle, password: alice.appPassword },
      stranger: { username: bob.handle, password: bob.appPassword },
      repository: `${alice.handle}/input-table`,
      otherRepository: `${alice.handle}/input-table-other`,
      strangersRepository: `${bob.handle}/input-table`,
      // The key that the AppView made for itself.
      signingKeyPem: await readFile(join(folder, 'appview/auth/private-key.pem'), 'utf8'),
    })
  })
  afterAll(async () => {
    await network?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const rows = [...nameRows, ...manifestRows, ...uploadRows, ...tokenRows]
  test.each(rows.filter((row) => applies(row, uploadMode)))('$name', async (row) => {
    const answer = await row.run(registry)
    judge(row, answer)
    await row.afterwards?.(registry, answer)
  })
})

/** An upload at the hold has no repository in its address: rows about that are for relayed ones. */
function applies(row: Row, uploadMode: 'relay' | 'direct'): boolean {
  return uploadMode === 'relay' || !row.needs?.includes('relay')
}
