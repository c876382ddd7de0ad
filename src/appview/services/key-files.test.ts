import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { loadRegistryKey, loadSealingKey } from './key-files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atcr-keys-'))
})
afterEach(() => rm(folder, { recursive: true }))

const options = { commonName: 'registry.test', now: new Date('2026-01-01T00:00:00Z') }

test('keys are made once, readable by their owner only', async () => {
  const paths = {
    key: join(folder, 'auth/private-key.pem'),
    certificate: join(folder, 'auth/private-key.crt'),
  }
  const first = await loadRegistryKey(paths, options)
  const second = await loadRegistryKey(paths, options)
  expect(second.equals(first)).toBe(true)
  for (const path of Object.values(paths)) expect((await stat(path)).mode & 0o777).toBe(0o600)
})

test('instances that start at once end up with the same key', async () => {
  const path = join(folder, 'sealing.key')
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadSealingKey(path)))
  for (const key of keys) expect(key.equals(keys[0] as Buffer)).toBe(true)
})
